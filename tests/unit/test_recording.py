"""Recordings: written, read back, cut short, damaged; read by pandas and DuckDB."""

import io
import json
from functools import partial

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from skep.base.errors import RecordingError, SourceNotFoundError
from skep.base.schema import Field, Schema, Type
from skep.stream.batch import Batch
from skep.stream.names import Names
from skep.stream.recorder import Recorder, to_parquet
from skep.stream.recording import Recording, read_stream

U32, U64 = Type("int", 4, "u32"), Type("int", 8, "u64")
OPENED = Schema(
    "opened",
    32,
    (
        Field("ts", 0, 8, U64, "time_monotonic"),
        Field("pid", 8, 4, U32, "pid"),
        Field("ret", 12, 4, Type("int", 4, "s32", signed=True), "result"),
        Field("comm", 16, 16, Type("text", 16, "char[16]", count=16), "comm"),
    ),
)
CLOSED = Schema(
    "closed",
    16,
    (Field("pid", 0, 4, U32, "pid"), Field("ret", 4, 1, Type("int", 1, "u8")), Field("ns", 8, 8, U64, "duration_ns")),
)
NAMES = Names(monotonic=1_700_000_000_000_000_000, users={0: "root"}, utc_offset=3600)
ACCOUNT = {
    "events": {"events": 4},
    "lost": 0,
    "out_of_scope": 0,
    "runs": None,
    "streams": 1,
    "command": None,
    "living": [],
    "missed": 0,
    "not_attached": {},
    "unheard": [],
    "unheard_missed": False,
}
ABOUT = {"program": "opens.bpf.c", "host": "vm"}


def batch(schema, *records):
    data = b"".join(records)
    return Batch(
        memoryview(bytearray(data)),
        len(records),
        stride=len(records[0]),
        offsets=None,
        schema=schema,
        lost=0,
        source="events",
        cpu=None,
    )


def opened(ts, pid, ret, comm):
    return (
        ts.to_bytes(8, "little")
        + pid.to_bytes(4, "little")
        + ret.to_bytes(4, "little", signed=True)
        + comm.ljust(16, b"\0")
    )


def closed(pid, ns):
    return pid.to_bytes(4, "little") + bytes(4) + ns.to_bytes(8, "little")


BATCHES = [
    batch(OPENED, opened(5, 7, -2, b"cat"), opened(0, 8, 3, b"\xff\x1b[31m")),
    batch(CLOSED, closed(7, 1_500)),
    batch(OPENED, opened(9, 7, 4, b"cat")),
]


def written(path, *, batches=BATCHES, end=True, schemas=(("events", OPENED), ("events", CLOSED)), samples=None):
    stream = io.BytesIO()
    recorder = Recorder(stream, schemas, NAMES, ABOUT, samples or {})
    for each in batches:
        recorder.write(each)
    if not end:
        path.write_bytes(stream.getvalue())
        return path
    told = recorder.finish(ACCOUNT)
    if path.suffix == ".parquet":
        with path.open("wb") as sink:
            to_parquet(io.BytesIO(stream.getvalue()), sink, told)
    else:
        path.write_bytes(stream.getvalue())
    return path


def rows(recording):
    return [(each.schema.name, row) for each in recording.batches() for row in each.rows()]


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_records_come_back_as_they_were(tmp_path, suffix):
    with Recording(str(written(tmp_path / f"a.{suffix}"))) as recording:
        assert rows(recording) == [(each.schema.name, row) for each in BATCHES for row in each.rows()]
        assert recording.account == ACCOUNT
        assert recording.about == ABOUT
        assert recording.names.plain() == NAMES.plain()


def test_records_of_any_length_come_back(tmp_path):
    schema = Schema("raw", 0, (Field("line", 0, 0, Type("text", 0, "")),))
    offsets = memoryview(b"".join(each.to_bytes(4, "little") for each in (0, 3, 3, 8))).cast("I")
    lines = Batch(
        memoryview(b"onethree"), 3, stride=None, offsets=offsets, schema=schema, lost=0, source="it", cpu=None
    )
    path = written(tmp_path / "a.parquet", batches=[lines], schemas=[("it", schema)])

    with Recording(str(path)) as recording:
        assert [row.line for _, row in rows(recording)] == ["one", "", "three"]


def test_what_a_killed_run_has_written_is_read(tmp_path):
    with Recording(str(written(tmp_path / "a.arrow", end=False))) as recording:
        assert len(rows(recording)) == 4
        assert recording.account is None


def test_a_file_cut_anywhere_is_read_up_to_its_last_batch(tmp_path):
    data = written(tmp_path / "a.arrow").read_bytes()
    seen: set[int | None] = set()
    for end in range(0, len(data), 7):
        (tmp_path / "cut").write_bytes(data[:end])
        try:
            with Recording(str(tmp_path / "cut")) as recording:
                seen.add(len(rows(recording)))
        except RecordingError:
            seen.add(None)  # its layouts are not whole

    assert seen == {None, 0, 2, 3, 4}


def test_parquet_cut_short_is_refused(tmp_path):
    path = written(tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(RecordingError, match="damaged") as caught:
        Recording(str(path))
    assert "FILE.part" in str(caught.value.remedy)


def _told(path, change):
    """The same recording, with other metadata."""
    with pa.ipc.open_stream(path.read_bytes()) as stream:
        table = stream.read_all()
    start = change(json.loads(table.schema.metadata[b"skep"]))
    with pa.ipc.new_stream(str(path), table.schema.with_metadata({b"skep": json.dumps(start)})) as sink:
        sink.write_table(table.replace_schema_metadata({b"skep": json.dumps(start)}))
    return str(path)


def test_another_version_is_refused_with_what_to_do(tmp_path):
    path = _told(written(tmp_path / "a.arrow"), lambda start: {**start, "version": 9})

    with pytest.raises(RecordingError, match=r"another version of skep \(format 9, not 1\)"):
        Recording(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda _: [],
        lambda _: {"version": 1},
        lambda start: {**start, "kinds": []},
        lambda start: {**start, "kinds": start["kinds"][:1]},
        lambda start: {**start, "names": {**start["names"], "boot": 1 << 80}},
        lambda start: {**start, "names": {**start["names"], "users": {"x": "y"}}},
    ],
)
def test_metadata_that_does_not_fit_is_refused(tmp_path, change):
    path = _told(written(tmp_path / "a.arrow"), change)

    with pytest.raises(RecordingError), Recording(path) as recording:
        rows(recording)


def test_what_is_no_recording_is_refused(tmp_path):
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    (tmp_path / "text").write_text("hello")

    with pytest.raises(RecordingError, match="no recording of skep"):
        Recording(str(tmp_path / "a.parquet"))
    with pytest.raises(RecordingError, match="damaged"):
        Recording(str(tmp_path / "text"))
    with pytest.raises(SourceNotFoundError, match="cannot be read"):
        Recording(str(tmp_path / "missing"))


def test_intervals_are_passed_where_they_were(tmp_path):
    stream = io.BytesIO()
    recorder = Recorder(stream, [("counts", CLOSED)], NAMES, ABOUT, {CLOSED: {}})
    for pid in (1, 2, 3):
        recorder.write(batch(CLOSED, closed(pid, 1)))
        recorder.passed()
    recorder.finish({})
    (tmp_path / "a.arrow").write_bytes(stream.getvalue())

    seen: list[object] = []
    with Recording(str(tmp_path / "a.arrow")) as recording:
        for each in recording.batches(passed=partial(seen.append, "passed")):
            seen += [row.pid for row in each.rows()]

    assert seen == [1, "passed", 2, "passed", 3]
    assert recording.samples == {recording.schemas["closed"]: {}}


def test_pandas_reads_the_right_types(tmp_path):
    frame = pd.read_parquet(written(tmp_path / "a.parquet"))

    assert list(frame.columns) == ["_event", "ts", "pid", "opened_ret", "comm", "closed_ret", "ns", "_record"]
    assert str(frame.ts.dtype) == "datetime64[ns, UTC]"
    assert frame.ts[0] == pd.Timestamp(1_700_000_000_000_000_005, tz="UTC")
    assert str(frame.ns.dtype) == "timedelta64[ns]"
    assert frame.ns[2] == pd.Timedelta(1_500)
    assert list(frame.pid) == [7, 8, 7, 7]
    assert list(frame.comm[:2]) == ["cat", "\\xff\x1b[31m"]
    assert list(frame._event) == ["opened", "opened", "closed", "opened"]


def test_duckdb_reads_the_right_types(tmp_path):
    path = written(tmp_path / "a.parquet")

    columns = duckdb.read_parquet(str(path))
    assert dict(zip(columns.columns, map(str, columns.types), strict=True)) == {
        "_event": "VARCHAR",
        "ts": "TIMESTAMP WITH TIME ZONE" if "TIMESTAMPTZ_NS" not in map(str, columns.types) else "TIMESTAMPTZ_NS",
        "pid": "INTEGER",
        "opened_ret": "BIGINT",
        "comm": "VARCHAR",
        "closed_ret": "UTINYINT",
        "ns": "BIGINT",
        "_record": "BLOB",
    }
    assert sorted(columns.aggregate("comm, count(*)", "comm").filter("comm is not null").fetchall()) == [
        ("\\xff\x1b[31m", 1),
        ("cat", 2),
    ]


def test_an_arrow_stream_is_a_table_whose_spans_are_numbers(tmp_path):
    table = read_stream(str(written(tmp_path / "a.arrow", end=False)))

    assert table.schema.field("ns").type == pa.int64()
    assert table.column("ns").to_pylist() == [None, None, 1500, None]
