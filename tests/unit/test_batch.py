"""`Batch`: rows and arrays over the same bytes, whole, cut short and padded."""

from __future__ import annotations

import struct
import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.schema import Field, Schema, Type
from skep.stream.batch import Batch

U32 = Type("int", 4, "u32")
SCHEMA = Schema(
    "event",
    16,
    (
        Field("pid", 0, 4, U32, "pid"),
        Field("number", 4, 4, Type("int", 4, "s32", signed=True)),
        Field("text", 8, 8, Type("text", 8, "char[8]", count=8), "text"),
    ),
)


def _batch(records: list[bytes]) -> Batch:
    offsets = array("I", [0])
    for record in records:
        offsets.append(offsets[-1] + len(record))
    sizes = {len(record) for record in records}
    return Batch(
        memoryview(bytearray(b"".join(records))),
        len(records),
        stride=sizes.pop() if len(sizes) == 1 else None,
        offsets=memoryview(offsets),
        schema=SCHEMA,
        lost=3,
        source="events",
        cpu=None,
    )


def _record(pid: int, number: int, text: bytes) -> bytes:
    return struct.pack("=Ii8s", pid, number, text)


WHOLE = [_record(1, -1, b"one"), _record(2, -2, b"two")]


@pytest.mark.parametrize(
    "records",
    [
        pytest.param(WHOLE, id="whole records"),
        pytest.param([WHOLE[0][:11], WHOLE[1][:11]], id="records cut short alike"),
        pytest.param([WHOLE[0][:11], WHOLE[1]], id="records of several sizes"),
        pytest.param([record + bytes(4) for record in WHOLE], id="records padded by the kernel"),
    ],
)
def test_rows_and_array_agree(records):
    batch = _batch(records)

    assert [tuple(row) for row in batch.rows()] == [(1, -1, "one"), (2, -2, "two")]
    assert batch.array.tolist() == [(1, -1, b"one"), (2, -2, b"two")]


def test_what_lies_behind_the_end_of_a_text_does_not_show():
    records = [_record(1, -1, b"one\0left"), _record(2, -2, b"\0left ov"), _record(3, -3, b"12345678")]
    texts = [b"one", b"", b"12345678"]

    assert _batch(records).array["text"].tolist() == texts
    assert _batch(records).to_arrow()["text"].to_pylist() == [text.decode() for text in texts]
    assert [row.text.encode() for row in _batch(records).rows()] == texts


def test_texts_in_structs_and_arrays_end_too_and_what_shares_its_bytes_stays():
    text = Type("text", 4, "char[4]", count=4)
    struct_ = Type("struct", 8, "struct a", fields=(Field("number", 0, 4, U32), Field("name", 4, 4, text)))
    fields = (
        Field("inner", 0, 8, struct_),
        Field("list", 8, 8, Type("array", 8, "char[2][4]", element=text, count=2)),
        Field("word", 16, 4, text),
        Field("same", 16, 4, U32),
    )
    batch = _batch([b"\1\0\0\0a\0zz" + b"b\0zz" + b"cc\0z" + b"d\0zz"])
    batch.schema = Schema("event", 20, fields)

    (record,) = batch.array
    assert (record["inner"]["name"], record["list"].tolist()) == (b"a", [b"b", b"cc"])
    assert record["same"].tobytes() == b"d\0zz"


@given(st.lists(st.binary(max_size=21), min_size=1), st.integers(0, 3))
def test_texts_of_all_sizes_end_at_their_first_nul(texts, offset):
    longest = max(1, *map(len, texts))
    field = Field("text", offset, longest, Type("text", longest, "text", count=longest))
    batch = _batch([bytes([7] * offset) + text.ljust(longest, b"\0") + b"\7" for text in texts])
    batch.schema = Schema("event", offset + longest + 1, (field,))

    assert batch.array["text"].tolist() == [text.partition(b"\0")[0] for text in texts]
    assert [row.text for row in batch.rows()] == [
        text.partition(b"\0")[0].decode("utf-8", "surrogateescape") for text in texts
    ]
    assert all(record[:offset] == bytes([7] * offset) for record in map(bytes, map(batch._record, range(len(texts)))))


def test_the_array_of_whole_records_is_no_copy():
    batch = _batch(WHOLE)

    assert batch.array.base is not None
    assert not batch.array.flags.owndata


def test_arrow_and_pandas_hold_what_rows_hold():
    batch = _batch([_record(1, -1, b"one"), _record(2, -2, b"\xff")])

    assert batch.to_arrow().to_pylist() == [
        {"pid": 1, "number": -1, "text": "one"},
        {"pid": 2, "number": -2, "text": "\\xff"},
    ]
    assert batch.to_pandas()["pid"].tolist() == [1, 2]


def test_values_are_those_of_rows():
    for records in (WHOLE, [WHOLE[0][:11], WHOLE[1]], []):
        values = list(_batch(records).values())

        assert values == list(_batch(records).rows())
        assert {type(each) for each in values} <= {tuple}


def test_tuples_are_what_the_kernel_wrote():
    assert list(_batch(WHOLE).tuples()) == [(1, -1, b"one\0\0\0\0\0"), (2, -2, b"two\0\0\0\0\0")]
    assert list(_batch([WHOLE[0][:11]]).tuples()) == [(1, -1, b"one\0\0\0\0\0")]


def test_an_array_cleans_the_texts_of_tuples_made_after_it():
    batch = _batch([_record(1, -1, b"one\0left"), _record(2, -2, b"two\0left")])

    assert [text for *_, text in batch.tuples()] == [b"one\0left", b"two\0left"]
    assert batch.array["text"].tolist() == [b"one", b"two"]
    assert [text for *_, text in batch.tuples()] == [b"one\0\0\0\0\0", b"two\0\0\0\0\0"]


def test_no_record_is_selected_that_is_not_there():
    with pytest.raises(IndexError, match="has none at 2"):
        _batch(WHOLE).select([0, 2])


def test_a_record_may_be_selected_twice():
    assert [row.pid for row in _batch(WHOLE).select([1, 1, 1, 0]).rows()] == [2, 2, 2, 1]


def test_an_empty_batch_has_no_rows():
    batch = _batch([])

    assert list(batch.rows()) == []
    assert len(batch.array) == 0


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=8)), max_size=20), st.data())
def test_a_selection_holds_the_chosen_records(values, data):
    batch = _batch([_record(pid, 0, text) for pid, text in values])
    chosen = sorted(data.draw(st.sets(st.integers(0, len(values) - 1)))) if values else []

    assert batch.numbers(SCHEMA.fields[0]) == [pid for pid, _ in values]
    selected = batch.select(chosen)
    assert [row.pid for row in selected.rows()] == [values[index][0] for index in chosen]
    assert (selected.count, selected.lost, selected.source) == (len(chosen), 3, "events")


@pytest.mark.parametrize("records", [[b"\1\2\3\4", b"\5\6\7\0"], [b"\1\2\3\4\5", b"\5\6\7"], []])
def test_records_of_which_nothing_is_known_are_their_bytes(records):
    batch = _batch(records)
    batch.schema = Schema("events", 0, (Field("data", 0, 0, Type("bytes", 0, "bytes")),))
    longest = max(map(len, records), default=0)

    assert [row.data for row in batch.rows()] == records
    assert batch.array["data"].tolist() == [record.ljust(longest, b"\0") for record in records]
    assert [row["data"] for row in batch.to_arrow().to_pylist()] == records


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
@given(numbers=st.lists(st.integers(0, 255), min_size=1, max_size=8), lengths=st.data())
def test_numbers_of_records_that_were_cut_short_end_in_zeros(size, numbers, lengths):
    records = [bytes([number] * 16)[: lengths.draw(st.integers(0, 16))] for number in numbers]
    field = Field("kind", 5, size, Type("int", size, "number"))

    expected = [int.from_bytes(record.ljust(16, b"\0")[5 : 5 + size], sys.byteorder) for record in records]
    assert _batch(records).numbers(field) == expected
