"""A .BTF.ext section: the lines that programs were made from, and what is left in BTF when relocations are counted."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from skep.base.errors import ObjectFormatError
from skep.spec.btf import Btf
from skep.spec.elf import Elf
from skep.spec.lines import source_lines
from skep.spec.spare import spare_types
from tests.fuzz import mutation, objects


def seeds() -> list[bytes]:
    return [data for data in objects.seeds() if ".BTF.ext" in Elf(data, "seed.o").by_name]


def mutated(random: Random, seed: bytes) -> bytes:
    if random.random() < 0.2:
        content = bytes(objects.section(seed, ".BTF.ext").data)
        return objects.with_section(seed, ".BTF.ext", mutation.plain(random, content))
    return objects.mutated(random, seed, (".BTF.ext", ".BTF.ext", ".BTF.ext", ".BTF"))


def read(data: bytes) -> None:
    elf = Elf(data, "x.o")
    for symbol in elf.symbols[:4]:
        # What its lines do not survive says nothing of its relocations.
        with suppress(ObjectFormatError):
            source_lines(data, "x.o", symbol.name)
    if ".BTF" in elf.by_name:
        list(spare_types(elf, Btf(elf.by_name[".BTF"].data, elf.byte_order, "x.o")))
