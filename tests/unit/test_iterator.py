"""What iterators write, from the source to rows: types, lines, and where one record ends."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.errors import CompileError, SkepError, UsageError
from skep.base.schema import Field, Schema, Type
from skep.spec.events import EventSpec, TagSpec
from skep.spec.objectspec import MapSpec, ProgramSpec
from skep.spec.sections import parse
from skep.spec.targets import Targets, hook_of, open_words
from skep.stream.batch import Batch
from skep.stream.iterator import split
from skep.stream.names import Names
from skep.view.ndjson import Ndjson
from skep.view.table import Table

U32 = Type("int", 4, "u32")
ONE = Schema("one", 8, (Field("kind", 0, 4, U32), Field("pid", 4, 4, U32)))
TWO = Schema("two", 4, (Field("kind", 0, 4, U32),))
LINE = Schema("dump", 0, (Field("line", 0, 0, Type("text", 0, "char[]"), "text"),))
BYTES = Schema("dump", 0, (Field("data", 0, 0, Type("bytes", 0, "bytes")),))
RECORDS = EventSpec("dump", (ONE,))
LINES = EventSpec("dump", (LINE,))
TAGGED = EventSpec("dump", (ONE, TWO), tag=TagSpec(ONE.fields[0], {1: ONE, 2: TWO}))

ITERATOR = """
struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; };
struct bpf_iter__task { struct bpf_iter_meta *meta; void *task; };
struct row { u32 pid; u32 calls; };
struct end { u64 rows; };
char LICENSE[] SEC("license") = "GPL";
"""
PROGRAM = '%s\nSEC("iter/task") int dump(struct bpf_iter__task *ctx) { %s return 0; }'
ROW = "struct row row = {}; bpf_seq_write(ctx->meta->seq, &row, sizeof(row));"
END = "struct end end = {}; bpf_seq_write(ctx->meta->seq, &end, sizeof(end));"
PRINT = 'static const char text[] = "a\\n"; bpf_seq_printf(ctx->meta->seq, text, sizeof(text), NULL, 0);'


@pytest.mark.parametrize(
    ("before", "body", "names"),
    [
        pytest.param("", ROW, ["row"], id="by the call"),
        pytest.param(
            "static __always_inline void put(struct bpf_iter__task *ctx, void *what, u32 size)"
            "{ bpf_seq_write(ctx->meta->seq, what, size); }",
            "struct row row = {}; put(ctx, &row, sizeof(row));",
            ["row"],
            id="by the call of a helper",
        ),
        pytest.param(
            "/// @event struct row", "char all[8] = {}; bpf_seq_write(ctx->meta->seq, all, 8);", ["row"], id="@event"
        ),
        pytest.param("", PRINT, ["dump"], id="lines"),
        pytest.param("", ROW + PRINT, ["dump"], id="both: nobody can tell them apart"),
        pytest.param("", 'bpf_seq_write(ctx->meta->seq, "abc\\n", 4);', ["dump"], id="text that is written"),
    ],
)
def test_what_an_iterator_writes(spec_of, before, body, names):
    event = spec_of(ITERATOR + PROGRAM % (before, body)).events["dump"]

    assert [schema.name for schema in event.schemas] == names
    assert event.question == ""
    assert event.schemas[0].is_text == (names == ["dump"])


def test_an_iterator_that_writes_nothing_has_no_events(spec_of):
    assert spec_of(ITERATOR + PROGRAM % ("", "")).events == {}


def test_each_iterator_has_its_own_events(spec_of):
    other = (PROGRAM % ("", END)).replace("dump", "other")
    events = spec_of(ITERATOR + PROGRAM % ("", ROW) + other).events

    assert {name: event.schemas[0].name for name, event in events.items()} == {"dump": "row", "other": "end"}


def test_two_types_without_a_tag_are_a_question(spec_of):
    event = spec_of(ITERATOR + PROGRAM % ("", ROW + END)).events["dump"]

    assert event.schemas[0].is_raw
    assert "which of struct row, struct end dump carries cannot be told" in event.question
    assert "before the program: /// @event struct row" in event.question


def test_the_user_says_what_an_iterator_writes(spec_of):
    source = ITERATOR + PROGRAM % ("", ROW + END)

    assert [each.name for each in spec_of(source, events={"dump": ["struct end"]}).events["dump"].schemas] == ["end"]
    with pytest.raises(UsageError, match="there is no ring buffer and no perf event array dmup"):
        spec_of(source, events={"dmup": ["struct end"]})


def test_a_type_that_is_not_there_is_an_error(spec_of):
    with pytest.raises(CompileError, match="@event struct rwo: there is no such type"):
        spec_of(ITERATOR + PROGRAM % ("/// @event struct rwo", ROW))


def _read(event: EventSpec, chunks: list[bytes]) -> tuple[list[bytes], bytes]:
    """The records that come of reads, and what is left at the end."""
    found, rest = [], b""
    for chunk in chunks:
        records, ends, rest = split(rest + chunk, event)
        found += [records[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        assert not ends or ends[-1] == len(records)
    return found, rest


def _cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted(min(place, len(data)) for place in places)
    return [data[start:end] for start, end in zip([0, *edges], [*edges, len(data)], strict=True)]


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))), st.lists(st.integers(0, 200)))
def test_lines_are_whole_however_they_are_read(lines, places):
    data = b"".join(line + b"\n" for line in lines) + b"rest"

    assert _read(LINES, _cut(data, places)) == (lines, b"rest")


@given(st.lists(st.binary(min_size=8, max_size=8)), st.lists(st.integers(0, 200)))
def test_records_are_whole_however_they_are_read(records, places):
    assert _read(RECORDS, _cut(b"".join(records) + b"1234567", places)) == (records, b"1234567")


@given(st.lists(st.sampled_from([struct.pack("=II", 1, 7), struct.pack("=I", 2)])), st.lists(st.integers(0, 200)))
def test_records_of_two_types_are_told_apart(records, places):
    assert _read(TAGGED, _cut(b"".join(records) + b"\1\0\0\0\1", places)) == (records, b"\1\0\0\0\1")


def test_a_record_that_no_type_has_is_an_error():
    with pytest.raises(SkepError, match="iterator dump writes a record whose kind is 3"):
        split(struct.pack("=I", 3), TAGGED)


def test_what_is_not_known_is_shown_as_it_was_read():
    assert _read(EventSpec("dump", (BYTES,)), [b"abc", b"de"]) == ([b"abc", b"de"], b"")


def _lines(*lines: bytes) -> Batch:
    ends = [0]
    for line in lines:
        ends.append(ends[-1] + len(line))
    offsets = memoryview(struct.pack(f"={len(ends)}I", *ends)).cast("I")
    data = memoryview(b"".join(lines))
    return Batch(data, len(lines), stride=None, offsets=offsets, schema=LINE, lost=0, source="dump", cpu=None)


def test_lines_are_shown_as_they_stand():
    batch = _lines(b"a\tb  c", b"", b"\x1b[1m \xff")

    assert [row.line for row in batch.rows()] == ["a\tb  c", "", "\x1b[1m \udcff"]
    assert Table(Names(), labelled=True, width=3).render(LINE, batch.rows()) == "a\tb  c\n\n\\x1b[1m \\xff\n"
    objects = list(map(json.loads, Ndjson(Names()).render(LINE, batch.rows()).splitlines()))
    assert objects == [{"line": "a\tb  c"}, {"line": ""}, {"line": "\x1b[1m \\xff"}]


def test_lines_of_one_length_are_lines_too():
    assert [row.line for row in _lines(b"", b"").select([0, 1]).rows()] == ["", ""]
    assert _lines(b"ab", b"cd").array.tolist() == [(b"ab",), (b"cd",)]


HASH, ARRAY, RINGBUF, STORAGE = 1, 2, 27, 24


def _walk(maps: dict[str, int], used: Collection[str] = (), said: str | None = None, over: str = "bpf_map_elem"):
    program = ProgramSpec("walk", f"iter/{over}", frozenset(), frozenset(used))
    targets = Targets(attach={} if said is None else {"walk": said})
    return hook_of(program, targets, {name: MapSpec(name, type_, 1, None) for name, type_ in maps.items()})


@pytest.mark.parametrize(
    ("maps", "used", "found"),
    [
        pytest.param({"a": HASH}, set(), "a", id="the only one"),
        pytest.param({"a": HASH, "events": RINGBUF}, set(), "a", id="of those that can be walked over"),
        pytest.param({"a": HASH, "b": ARRAY}, {"b"}, "a", id="that the program does not use itself"),
        pytest.param({"a": HASH, "b": ARRAY}, set(), "", id="not one of two"),
        pytest.param({"a": HASH}, {"a"}, "", id="not the one that it writes to"),
        pytest.param({}, set(), "", id="none"),
    ],
)
def test_the_map_that_an_iterator_walks_over(maps, used, found):
    hook = _walk(maps, used)

    assert (hook.map, hook.needs) == (found, "" if found else "needs a map to walk over: --attach PROGRAM=MAP")


@pytest.mark.parametrize("said", ["b", "123", "/sys/fs/bpf/other"])
def test_the_user_says_which_map(said):
    hook = _walk({"a": HASH, "b": ARRAY}, said=said)

    assert (hook.map, hook.target, hook.needs) == (said, "bpf_map_elem", "")
    assert str(hook) == f"iter/bpf_map_elem of map {said}"


def test_storage_of_sockets_is_walked_over_by_its_own_iterator():
    assert _walk({"a": HASH, "b": STORAGE}, over="bpf_sk_storage_map").map == "b"
    assert parse("iter/task").needs == ""


def test_a_map_that_is_not_there_is_a_question():
    with pytest.raises(UsageError, match="there is no map c") as found:
        _walk({"a": HASH, "b": HASH}, said="c")

    assert "a, b" in str(found.value.remedy)


def test_samples_are_of_an_event():
    program = ProgramSpec("take", "perf_event", frozenset(), frozenset())

    assert (parse("perf_event").target, parse("perf_event").needs) == ("", "")
    assert hook_of(program, Targets(attach={"take": "page-faults:1"}), {}).target == "page-faults:1"
    assert open_words([program]) == {"freq"}
    with pytest.raises(UsageError, match="cannot be attached there"):
        hook_of(program, Targets(attach={"take": "tp/a/b"}), {})
    for wrong in ("0", "many", "100001"):
        with pytest.raises(UsageError, match=f"--freq {wrong}: it takes samples a second"):
            Targets(freq=wrong)
