"""A .skep section: alone, and in an object that it then has to fit."""

from __future__ import annotations

from random import Random

from skep.spec.document import SECTION, read_document
from skep.spec.elf import Elf
from skep.spec.objectspec import ObjectSpec
from tests.fuzz import mutation, objects


def seeds() -> list[bytes]:
    return [data for data in objects.seeds() if SECTION in Elf(data, "seed.o").by_name]


def mutated(random: Random, seed: bytes) -> bytes:
    content = bytes(objects.section(seed, SECTION).data).rstrip(b"\0")
    changed = mutation.json_text(random, content)
    if random.random() < 0.1:
        changed += b"\0" + mutation.json_text(random, content)
    return objects.with_section(seed, SECTION, changed + b"\0")


def read(data: bytes) -> None:
    elf = Elf(data, "x.o")
    if SECTION in elf.by_name:
        read_document(elf.by_name[SECTION].data, "x.o")
    ObjectSpec.read(data, "x.o")
