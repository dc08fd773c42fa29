"""A .BTF section: every type in it, whatever leads there."""

from __future__ import annotations

import struct
import sys
from random import Random
from zlib import crc32

from skep.base.errors import ObjectFormatError
from skep.base.schema import Field, Schema
from skep.spec.btf import DATASEC, Btf
from tests.fuzz import mutation, objects

_ORDER = "<" if sys.byteorder == "little" else ">"
# Reading the rows of a larger type is a matter of its size only; and to read those of one in so many is enough.
_LARGEST = 1 << 16
_DECODED = 8


def seeds() -> list[bytes]:
    return [bytes(objects.section(data, ".BTF").data) for data in objects.seeds()]


def mutated(random: Random, seed: bytes) -> bytes:
    changed = bytearray(seed)
    header, _, types = struct.unpack_from("=III", seed, 4)
    for _ in range(random.choice([1, 1, 2, 3, 6])):
        # The first words are the header; what stands behind the types are strings.
        place = random.randrange(0, header + types, 4) if random.random() < 0.9 else random.randrange(2, header, 2)
        other = random.randrange(header, header + types, 4)
        size = random.choice([1, 2, 4])
        old, peer = (int.from_bytes(seed[at : at + size], "little") for at in (place, other))
        mutation.put(changed, place, size, mutation.number(random, size, old, [peer, len(seed), random.randrange(99)]))
    if random.random() < 0.1:
        place = random.randrange(header + types, len(seed))
        changed[place:] = mutation.plain(random, bytes(changed[place:]))
    return bytes(changed)


def read(data: bytes) -> None:
    btf = Btf(memoryview(data), _ORDER, "x.o")
    for name in btf.names():
        btf.named(name)
    chosen = crc32(data)
    for number in range(len(btf)):
        raw = btf.raw(number)
        if raw.kind == DATASEC:
            btf.variables(raw.name)
        # What one type does not survive says nothing of the next.
        for ask in (btf.references, btf.is_volatile, btf.strip):
            try:
                ask(number)
            except ObjectFormatError:
                continue
        try:
            type_ = btf.type(number)
        except ObjectFormatError:
            continue
        if 0 < type_.size < _LARGEST and (chosen + number) % _DECODED == 0:
            Schema("x", type_.size, (Field("value", 0, type_.size, type_),)).decode(bytes(type_.size))
