"""Symbols of executables, which are whatever traced processes have mapped; and names that have to be demangled."""

from __future__ import annotations

import os
from contextlib import suppress
from random import Random

from skep.stream.symbols.demangling import demangled
from skep.stream.symbols.executable import Executable
from tests.fuzz import mutation, objects

# Of 64 bits: where the header tells of segments and sections, how large each telling is, and how many there are.
_TABLES = ((32, 54), (40, 58))


def seeds() -> list[bytes]:
    # A program, and objects, whose format is the same.
    with open("/bin/true", "rb") as file:
        return [file.read(), *objects.seeds()[:4]]


def mutated(random: Random, seed: bytes) -> bytes:
    changed = bytearray(seed)
    for _ in range(random.choice([1, 1, 2, 4])):
        place, sizes = random.choice(_TABLES)
        start = int.from_bytes(seed[place : place + 8], "little")
        size, count = (int.from_bytes(seed[at : at + 2], "little") for at in (sizes, sizes + 2))
        width = random.choice([2, 4, 8])
        # The file's header, an entry of a table, or what such an entry leads to.
        at = random.choice([random.randrange(16, 64), start + random.randrange(max(size * count, 1))])
        if random.random() < 0.3:
            at = random.randrange(len(seed))
        at = min(at - at % width, len(seed) - width)
        old = int.from_bytes(changed[at : at + width], "little")
        mutation.put(changed, at, width, mutation.number(random, width, old, [len(seed), 0]))
    return bytes(changed)


def read(data: bytes) -> None:
    fd = os.memfd_create("executable")
    try:
        os.write(fd, data)
        with suppress(ValueError, OSError):
            found = Executable(fd)
            for offset in range(0, len(data), 512):
                demangled(found.function(offset) or "")
    finally:
        os.close(fd)
