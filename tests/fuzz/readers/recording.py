"""Recordings: the metadata that tells their layouts, and the stream itself; shown as a table and as JSON."""

from __future__ import annotations

import io
import json
import os
from functools import cache
from random import Random

import pyarrow as pa

from skep.base.schema import Field, Schema, Type
from skep.stream.batch import Batch
from skep.stream.names import Names
from skep.stream.recorder import START, Recorder
from skep.stream.recording import Recording
from skep.view.ndjson import Ndjson
from skep.view.table import Table
from tests.fuzz import mutation

# Arrow's own allocator reserves address space, which the fuzzer bounds.
pa.set_memory_pool(pa.system_memory_pool())
_U32, _BYTE = Type("int", 4, "u32"), Type("int", 1, "u8")
_PAIR = Type("struct", 8, "struct pair", fields=(Field("a", 0, 4, _U32, None, (3, 7)), Field("b", 4, 4, _U32, "errno")))
_STATE = Type("enum", 4, "enum state", enum={0: "IDLE", 7: "BUSY"})
_OPENED = Schema(
    "opened",
    48,
    (
        Field("ts", 0, 8, Type("int", 8, "u64"), "time_boot"),
        Field("comm", 8, 16, Type("text", 16, "char[16]", count=16), "comm"),
        Field("pair", 24, 8, _PAIR),
        Field("state", 32, 4, _STATE),
        Field("bytes", 36, 12, Type("array", 12, "u8[12]", element=_BYTE, count=12)),
    ),
)
_CLOSED = Schema("closed", 4, (Field("pid", 0, 4, _U32, "pid"),))


@cache
def seeds() -> list[bytes]:
    made = []
    for schemas in ([("events", _OPENED)], [("events", _OPENED), ("counts", _CLOSED)]):
        stream = io.BytesIO()
        samples = {schema: {"type": "log2_hist"} for _, schema in schemas[1:]}
        recorder = Recorder(stream, schemas, Names(users={0: "root"}), {"program": "x"}, samples)
        for _, schema in schemas * 2:
            data = memoryview(bytearray(range(3 * schema.size)))
            recorder.write(Batch(data, 3, stride=schema.size, offsets=None, schema=schema, lost=0, source="", cpu=None))
            recorder.passed()
        recorder.finish({"events": {}})
        made.append(stream.getvalue())
    return made


def mutated(random: Random, seed: bytes) -> bytes:
    if random.random() < 0.3:
        return mutation.plain(random, seed)
    with pa.ipc.open_stream(seed) as stream:
        table = stream.read_all()
    start = mutation.json_text(random, table.schema.metadata[START])
    if start.count(b"[") + start.count(b"{") > 500:
        # Python refuses what is nested so deeply, if the stack may grow: beside pyarrow, it may not here.
        return seed
    sink = io.BytesIO()
    changed = table.replace_schema_metadata({START: start})
    with pa.ipc.new_stream(sink, changed.schema) as writer:
        writer.write_table(changed)
    return sink.getvalue()


def read(data: bytes) -> None:
    file = os.memfd_create("recording")
    try:
        os.write(file, data)
        with Recording(f"/proc/self/fd/{file}") as recording:
            views: list[Table | Ndjson] = [Table(recording.names), Ndjson(recording.names)]
            for batch in recording.batches():
                for view in views:
                    for line in view.render(batch.schema, batch.rows()).splitlines():
                        assert isinstance(view, Table) or json.loads(line) is not None
                batch.to_arrow(recording.names.clocks)
    finally:
        os.close(file)
