"""Records of the kernel to rows, table and JSON. The first byte chooses the ring, the next two part the records."""

from __future__ import annotations

from array import array
from functools import cache
from random import Random

from skep.spec.events import EventSpec
from skep.spec.objectspec import ObjectSpec
from skep.stream.batch import Batch
from skep.stream.kinds import Kinds
from skep.stream.names import Names
from skep.view.ndjson import Ndjson
from skep.view.table import Table
from tests.fuzz import mutation, objects

_NAMES = Names(users={0: "root"}, groups={0: "root"}, monotonic=1 << 60, utc_offset=-3600)


@cache
def _events() -> list[EventSpec]:
    return [event for data in objects.seeds() for event in ObjectSpec.read(data, "x.o").events.values()]


def seeds() -> list[bytes]:
    sizes = [max(schema.size for schema in event.schemas) or 16 for event in _events()]
    return [
        bytes([index, size % 256, size // 256 % 256]) + filler * (2 * size)
        for index, size in enumerate(sizes)
        for filler in (b"\0", b"\1", b"a", b"\xff")
    ]


def mutated(random: Random, seed: bytes) -> bytes:
    body = bytearray(seed[3:])
    for _ in range(random.choice([1, 4, 16])):
        size = min(random.choice([1, 2, 4, 8]), len(body))
        place = random.randrange(0, len(body) - size + 1)
        mutation.put(body, place, size, mutation.number(random, size, 0, [])) if size else None
    head = bytearray(seed[:3])
    if random.random() < 0.2:
        head[1] = random.randrange(256)
    return bytes(head + body[: random.choice([len(body), random.randrange(len(body) + 1)])])


def read(data: bytes) -> None:
    head, body = data[:3].ljust(3, b"\0"), data[3:]
    event = _events()[head[0] % len(_events())]
    size = head[1] + 256 * head[2] or 1
    ends = [*range(size, len(body), size), len(body)] if body else []
    same = bool(ends) and len(body) % size == 0
    batch = Batch(
        memoryview(body),
        len(ends),
        stride=size if same else None,
        offsets=memoryview(array("I", [0, *ends])),
        schema=event.schemas[0],
        lost=0,
        source=event.map,
        cpu=None,
    )
    for split in (Kinds.runs, Kinds.groups):
        count = 0
        for part in split(Kinds(event), batch):
            _show(part)
            count += part.count
        assert count == len(ends)


def _show(batch: Batch) -> None:
    rows = list(batch.rows())
    assert len(rows) == batch.count
    process = batch.schema.process
    if process is not None:
        assert len(batch.numbers(process)) == batch.count
    for view in (Table(_NAMES, width=80, labelled=True), Ndjson(_NAMES, labelled=True)):
        view.render(batch.schema, rows).encode()
    assert len(batch.array) == batch.count
