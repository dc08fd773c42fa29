"""`Kinds`: records of several types on one ring, told apart and grouped in C."""

from __future__ import annotations

from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.schema import Field, Schema, Type
from skep.spec.events import EventSpec, TagSpec
from skep.stream.batch import Batch
from skep.stream.kinds import Kinds

U32 = Type("int", 4, "u32")
SMALL = Schema("small", 4, (Field("kind", 0, 4, U32),))
LARGE = Schema("large", 16, (Field("kind", 0, 4, U32), Field("text", 4, 12, Type("text", 12, "char[12]", count=12))))
BY_SIZE = EventSpec("events", (LARGE, SMALL))
BY_TAG = EventSpec("events", (LARGE, SMALL), tag=TagSpec(SMALL.fields[0], {1: SMALL, 2: LARGE}))


def _batch(records: list[bytes], event: EventSpec = BY_SIZE) -> Batch:
    offsets = array("I", [0])
    for record in records:
        offsets.append(offsets[-1] + len(record))
    return Batch(
        memoryview(bytearray(b"".join(records))),
        len(records),
        stride=None,
        offsets=memoryview(offsets),
        schema=event.schemas[0],
        lost=5,
        source="events",
        cpu=None,
    )


@pytest.mark.parametrize(
    ("size", "name"),
    [
        (4, "small"),
        (16, "large"),
        pytest.param(12, "large", id="a record may be cut short"),
        pytest.param(3, "small", id="or shorter than all types"),
        pytest.param(99, "large", id="what fits nothing is read as far as it goes"),
    ],
)
def test_types_are_told_by_the_sizes_of_their_records(size, name):
    (batch,) = Kinds(BY_SIZE).runs(_batch([bytes(size)]))

    assert batch.schema.name == name


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (b"\1\0\0\0" + bytes(12), "small"),
        (b"\2\0\0\0", "large"),
        pytest.param(b"\2", "large", id="what a tag that was cut short lacks is zeros"),
        pytest.param(b"\7\0\0\0", "small", id="a tag that no program sets: by size"),
        pytest.param(b"", "small", id="no tag at all: by size"),
    ],
)
def test_types_are_told_by_their_tag_before_their_size(record, name):
    (batch,) = Kinds(BY_TAG).runs(_batch([record], BY_TAG))

    assert batch.schema.name == name


RECORDS = st.lists(st.sampled_from([4, 16, 9]).flatmap(lambda size: st.binary(min_size=size, max_size=size)))


@given(RECORDS)
def test_runs_hold_all_records_in_order(records):
    runs = list(Kinds(BY_SIZE).runs(_batch(records)))

    assert [record for run in runs for record in _records(run)] == records
    assert sum(run.lost for run in runs) == 5
    names = [run.schema.name for run in runs]
    assert all(one != other for one, other in pairwise(names))


@given(RECORDS)
def test_groups_hold_all_records_and_their_order(records):
    groups = list(Kinds(BY_SIZE).groups(_batch(records)))

    placed: dict[int, bytes] = {}
    for group in groups:
        if records:
            assert group.order is not None
            assert list(group.order) == sorted(group.order)
            placed.update(zip(group.order, _records(group), strict=True))
    assert [placed[index] for index in range(len(records))] == records
    assert sum(group.lost for group in groups) == 5
    assert len(groups) <= 2


@given(RECORDS)
def test_rows_of_all_types_come_in_order(records):
    (batch,) = Kinds(BY_SIZE).together(_batch(records))

    rows = list(batch.rows())
    singly = [row for run in Kinds(BY_SIZE).runs(_batch(records)) for row in run.rows()]
    assert rows == singly
    assert [type(row).__name__ for row in rows] == [type(row).__name__ for row in singly]
    assert (batch.count, batch.lost) == (len(records), 5)


def _records(batch: Batch) -> list[bytes]:
    return [bytes(batch._record(index)) for index in range(batch.count)]
