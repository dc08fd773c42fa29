"""What iterators write, as it comes in pieces: the first byte chooses what, the second how long a piece is."""

from __future__ import annotations

from random import Random

from skep.base.schema import Field, Schema, Type
from skep.spec.events import EventSpec, TagSpec
from skep.stream.iterator import _batches, split
from skep.stream.names import Names
from skep.view.ndjson import Ndjson
from skep.view.table import Table
from tests.fuzz import mutation

_U32 = Type("int", 4, "u32")
_ONE = Schema("one", 8, (Field("kind", 0, 4, _U32), Field("pid", 4, 4, _U32, "pid")))
_TWO = Schema("two", 20, (Field("kind", 0, 4, _U32), Field("comm", 4, 16, Type("text", 16, "char[16]"), "comm")))
_LINE = Schema("dump", 0, (Field("line", 0, 0, Type("text", 0, "char[]"), "text"),))
_BYTES = Schema("dump", 0, (Field("data", 0, 0, Type("bytes", 0, "bytes")),))
_EVENTS = [
    EventSpec("dump", (_ONE,)),
    EventSpec("dump", (_TWO,)),
    EventSpec("dump", (_LINE,)),
    EventSpec("dump", (_BYTES,)),
    EventSpec("dump", (_ONE, _TWO), tag=TagSpec(_ONE.fields[0], {1: _ONE, 2: _TWO})),
]


def seeds() -> list[bytes]:
    one, two = b"\1\0\0\0\7\0\0\0", b"\2\0\0\0cat\0" + bytes(12)
    written = [one * 5, two * 3, b"a line\nanother\n\nthe last", one + two + one]
    return [bytes([index, size]) + data for index in range(len(_EVENTS)) for size in (5, 64) for data in written]


def mutated(random: Random, seed: bytes) -> bytes:
    return seed[:2] + mutation.plain(random, seed[2:])


def read(data: bytes) -> None:
    event, size = _EVENTS[(data or b"\0")[0] % len(_EVENTS)], 1 + sum(data[1:2])
    rest = b""
    table, ndjson = Table(Names()), Ndjson(Names())
    for start in range(2, len(data), size):
        records, ends, rest = split(rest + data[start : start + size], event)
        assert ends == sorted(ends)
        assert (ends[-1] if ends else 0) == len(records)
        for batch in _batches(records, ends, event):
            rows = list(batch.rows())
            assert len(rows) == batch.count
            table.render(batch.schema, rows)
            ndjson.render(batch.schema, rows)
