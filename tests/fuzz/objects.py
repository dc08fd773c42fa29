"""The corpus: the objects that `make setup` builds. And where in one the numbers stand that say how to read it."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from random import Random

from skep.spec.elf import SHT_NOBITS, SHT_REL, SHT_SYMTAB, Elf, Section
from tests.fuzz import mutation

ROOT = Path(__file__).parents[2]
# A larger one only holds more of the same.
_LARGEST = 64 * 1024
# Sizes of the numbers in a section's header, a symbol, a relocation and an instruction (elf(5)).
_FILE = [(40, 8), (58, 2), (60, 2), (62, 2)]
_HEADER = [(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 8), (56, 8)]
_SYMBOL = [(0, 4), (4, 1), (5, 1), (6, 2), (8, 8), (16, 8)]
_RELOCATION = [(0, 8), (8, 4), (12, 4)]
_INSTRUCTION = [(0, 1), (1, 1), (2, 2), (4, 4)]
_WORD = [(0, 4)]
# The kinds of places that reading an object for the first time passes through.
ELF = ("file", "header", "symbol", "relocation", "code", "names")
TYPES = (".BTF", ".BTF.ext", "strings")


@cache
def seeds() -> list[bytes]:
    """The objects, the smallest first."""
    paths = [*ROOT.glob("src/skep/**/*.bpf.o"), *ROOT.glob("tests/programs/*.bpf.o")]
    objects = sorted((path.read_bytes() for path in paths if path.stat().st_size < _LARGEST), key=len)
    assert objects, "make setup builds the objects that are the corpus"
    return objects


def section(data: bytes, name: str) -> Section:
    """A section of an object of the corpus."""
    return Elf(data, "seed.o").by_name[name]


@cache
def _headers(data: bytes) -> tuple[int, list[tuple[int, int, int]]]:
    """Where the headers of the sections begin; type, offset and size of each section."""
    (start,) = struct.unpack_from("=Q", data, 40)
    (count,) = struct.unpack_from("=H", data, 60)
    entries = [struct.unpack_from("=IIQQQQ", data, start + 64 * index) for index in range(count)]
    return start, [(kind, offset, size) for _, kind, _, _, offset, size in entries]


@cache
def places(data: bytes) -> dict[str, list[tuple[int, list[tuple[int, int]]]]]:
    """By kind: where entries begin, and offset and size of each number in them."""
    start, headers = _headers(data)
    elf = Elf(data, "seed.o")
    found: dict[str, list[tuple[int, list[tuple[int, int]]]]] = {"file": [(0, _FILE)]}
    found["header"] = [(start + 64 * index, _HEADER) for index in range(len(headers))]
    for (kind, offset, length), each in zip(headers, elf.sections, strict=True):
        if kind == SHT_NOBITS:
            continue
        name, width, numbers, size = "", 1, [(0, 1)], length
        if kind == SHT_SYMTAB:
            name, width, numbers = "symbol", 24, _SYMBOL
        elif kind == SHT_REL:
            name, width, numbers = "relocation", 16, _RELOCATION
        elif each.flags & 4:
            name, width, numbers = "code", 8, _INSTRUCTION
        elif each.name in {".BTF", ".BTF.ext"}:
            name, width, numbers = each.name, 4, _WORD
        elif each.name == ".strtab":
            name = "names"
        if each.name == ".BTF":
            head, _, _, strings, rest = struct.unpack_from("=IIIII", data, offset + 4)
            # Behind the types stand the strings.
            found["strings"] = [(offset + head + strings + index, [(0, 1)]) for index in range(rest)]
            size = head + strings
        if name:
            found.setdefault(name, []).extend((offset + at, numbers) for at in range(0, size - width + 1, width))
    return found


def mutated(random: Random, data: bytes, kinds: tuple[str, ...]) -> bytes:
    """An object with some numbers of these kinds changed.

    Args:
        random: decides.
        data: an object of the corpus.
        kinds: of `places`.
    """
    changed = bytearray(data)
    known = places(data)
    for _ in range(random.choice([1, 1, 1, 2, 3, 6])):
        entries = known.get(random.choice(kinds)) or known["header"]
        start, numbers = random.choice(entries)
        offset, size = random.choice(numbers)
        other, _ = random.choice(entries)
        # What stands in the same place of another entry: links that cross, sizes that are those of others.
        peers = [len(data), int.from_bytes(data[other + offset : other + offset + size], "little")] * 3
        old = int.from_bytes(changed[start + offset : start + offset + size], "little")
        mutation.put(changed, start + offset, size, mutation.number(random, size, old, peers))
    return bytes(changed)


def with_section(data: bytes, name: str, content: bytes) -> bytes:
    """An object whose section of that name has other content, which stands at the end of the file."""
    start, _ = _headers(data)
    index = section(data, name).index
    changed = bytearray(data + content)
    struct.pack_into("=QQ", changed, start + 64 * index + 24, len(data), len(content))
    return bytes(changed)
