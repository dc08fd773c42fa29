"""The C reader over rings made by hand: a memory file laid out as the kernel lays out a ring buffer.

Consumer page, producer page, data, and the data once more: what the kernel maps twice is written twice here.
"""

from __future__ import annotations

import mmap
import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skep._native import ffi, lib
from skep.stream.batch import marked_texts

PAGE = mmap.PAGESIZE
SIZE = PAGE
BUSY, DISCARDED = 1 << 31, 1 << 30


class Ring:
    """A ring of one page of data, and the C reader over it."""

    def __init__(self, start: int = 0, ahead: int = 0):
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * PAGE + 2 * SIZE)
        self.memory = mmap.mmap(self.fd, 2 * PAGE + 2 * SIZE)
        self.position = start
        self.set_positions(start, (start + ahead) % 2**64)
        self.handle = lib.skep_ring_open(self.fd, SIZE)
        assert self.handle != ffi.NULL

    def close(self):
        lib.skep_source_close(self.handle)
        self.memory.close()
        os.close(self.fd)

    def set_positions(self, consumer, producer):
        self.memory[0:8] = struct.pack("=Q", consumer)
        self.memory[PAGE : PAGE + 8] = struct.pack("=Q", producer)

    @property
    def consumed(self):
        return struct.unpack("=Q", self.memory[0:8])[0]

    def put(self, record: bytes, flags: int = 0, size: int | None = None):
        raw = struct.pack("=II", (len(record) if size is None else size) | flags, 0) + record
        raw += bytes(-len(raw) % 8)
        for index, byte in enumerate(raw):
            place = (self.position + index) % SIZE
            for base in (2 * PAGE, 2 * PAGE + SIZE):
                self.memory[base + place] = byte
        self.position += len(raw)
        self.memory[PAGE : PAGE + 8] = struct.pack("=Q", self.position)

    def drain(self, capacity=64 * 1024, limit=1024):
        """(error, records, what C reports)"""
        buffer = bytearray(capacity)
        offsets = ffi.new("uint32_t[]", limit + 1)
        drained = ffi.new("struct skep_drained *")
        handles = ffi.new("struct skep_source *[]", [self.handle])
        error = lib.skep_drain(handles, 1, 0, ffi.from_buffer(buffer), capacity, offsets, limit, drained)
        records = [bytes(buffer[offsets[index] : offsets[index + 1]]) for index in range(drained.count)]
        return error, records, drained


@pytest.fixture
def ring():
    made = Ring()
    yield made
    made.close()


def test_records_come_in_order_back_to_back(ring):
    ring.put(b"a" * 8)
    ring.put(b"b" * 8)

    error, records, drained = ring.drain()

    assert (error, records) == (0, [b"a" * 8, b"b" * 8])
    assert (drained.stride, drained.bytes, drained.more) == (8, 16, 0)
    assert ring.consumed == ring.position


def test_an_empty_ring_gives_nothing(ring):
    error, records, drained = ring.drain()

    assert (error, records, drained.more, drained.needed) == (0, [], 0, 0)


def test_records_of_several_sizes_have_no_stride(ring):
    ring.put(b"a" * 8)
    ring.put(b"b" * 5)

    assert ring.drain()[1:][0] == [b"a" * 8, b"b" * 5]
    ring.put(b"a" * 8)
    ring.put(b"b" * 5)
    assert ring.drain()[2].stride == 0


def test_a_discarded_record_is_passed_over(ring):
    ring.put(b"first...")
    ring.put(b"gone....", DISCARDED)
    ring.put(b"second..")

    assert ring.drain()[1] == [b"first...", b"second.."]
    assert ring.consumed == ring.position


def test_a_record_still_being_written_holds_back_those_behind_it(ring):
    ring.put(b"first...")
    place = ring.position
    ring.put(b"busy....", BUSY)
    ring.put(b"behind..")

    assert ring.drain()[1] == [b"first..."]
    assert ring.consumed == place
    assert ring.drain()[1] == []


def test_a_record_that_wraps_is_whole():
    ring = Ring(start=SIZE - 24)
    ring.put(bytes(range(200)))

    assert ring.drain()[1] == [bytes(range(200))]
    ring.close()


def test_positions_go_on_beyond_the_size_of_the_ring(ring):
    for round_ in range(20):
        record = bytes([round_]) * 1000
        ring.put(record)
        assert ring.drain()[1] == [record]


def test_a_full_buffer_leaves_the_rest_for_the_next_call(ring):
    for letter in b"abc":
        ring.put(bytes([letter]) * 16)

    error, records, drained = ring.drain(capacity=40)

    assert (error, records, drained.more) == (0, [b"a" * 16, b"b" * 16], 1)
    assert ring.drain()[1] == [b"c" * 16]


def test_the_limit_of_records_is_kept(ring):
    for letter in b"abc":
        ring.put(bytes([letter]) * 8)

    _, records, drained = ring.drain(limit=2)

    assert (len(records), drained.more, drained.needed) == (2, 1, 0)


def test_a_record_larger_than_the_buffer_says_what_it_needs(ring):
    ring.put(b"x" * 100)

    error, records, drained = ring.drain(capacity=64)

    assert (error, records, drained.needed) == (0, [], 100)
    assert ring.drain(capacity=100)[1] == [b"x" * 100]


@pytest.mark.parametrize(
    "size", [pytest.param(SIZE, id="larger than what was written"), pytest.param(0x3FFFFFFF, id="larger than the ring")]
)
def test_a_record_that_claims_too_much_is_an_error(ring, size):
    ring.put(b"x" * 8, size=size)

    assert ring.drain()[0] == -5  # EIO


def test_another_reader_of_the_ring_is_an_error(ring):
    ring.put(b"first...")
    ring.put(b"second..")
    # The other one took the first.
    ring.set_positions(16, ring.position)

    assert ring.drain()[0] == -116  # ESTALE


def test_a_producer_that_is_further_ahead_than_the_ring_is_long_is_an_error(ring):
    ring.set_positions(0, SIZE + 8)

    assert ring.drain()[0] == -5  # EIO


@pytest.mark.parametrize("size", [1, 7, 8, 9, 15, 16, 17, 24, 40])
@pytest.mark.parametrize("length", [0, 1, 6, 7, 8, 15, 16, 23, 100])
def test_what_stands_behind_the_nul_of_a_text_is_zeros(ring, size, length):
    texts = marked_texts([(3, size)])
    lib.skep_source_texts(ring.handle, texts, len(texts))
    text = b"x" * min(length, size)
    ring.put(b"abc" + (text + b"\0" + b"left over" * 9)[:size] + b"\0the rest")

    assert ring.drain()[1] == [b"abc" + text.ljust(size, b"\0") + b"\0the rest"]


@pytest.mark.parametrize("size", range(24))
def test_texts_of_a_record_that_was_cut_short_end_with_it(ring, size):
    texts = marked_texts([(2, 8), (10, 12)])
    lib.skep_source_texts(ring.handle, texts, len(texts))
    record = b"..ab\0left.cd\0left over."
    ring.put(record[:size])
    ring.put(b"behind")

    whole = b"..ab" + bytes(6) + b"cd" + bytes(10) + b"."
    assert ring.drain()[1] == [whole[:size], b"behind"]


# Gaps before texts, and their sizes: one beside the other, within 64 bytes and across them.
TEXTS = st.lists(
    st.tuples(st.sampled_from([0, 0, 1, 8, 30]), st.sampled_from([1, 2, 16, 24, 63, 64, 65, 140])), max_size=6
)
NULS = st.lists(st.lists(st.integers(0, 300), max_size=8), max_size=12)


def _ended(record: bytes, texts: list[tuple[int, int]]) -> bytes:
    ended = bytearray(record)
    for start, size in texts:
        text = record[start : start + size]
        ended[start : start + size] = text.partition(b"\0")[0].ljust(len(text), b"\0")
    return bytes(ended)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(0, 300), st.integers(0, SIZE), NULS)
def test_texts_end_wherever_they_lie_in_records_of_any_size(gaps, size, start, nuls):
    texts: list[tuple[int, int]] = []
    for gap, length in gaps:
        texts.append((sum(texts[-1]) + gap if texts else gap, length))
    records = []
    for places in nuls:
        raw = bytearray(b"x" * size)
        for place in places:
            if place < size:
                raw[place] = 0
        records.append(bytes(raw))
    marked = marked_texts(texts)
    ring = Ring(start & ~7)
    try:
        lib.skep_source_texts(ring.handle, marked, len(marked))
        for record in records:
            ring.put(record)
        # As it is read: of room to spare, and of none.
        assert ring.drain(size * len(records))[1] == [_ended(record, texts) for record in records]
    finally:
        ring.close()
    # Where it stands.
    if not texts or size >= sum(texts[-1]):
        batch = bytearray(b"".join(records))
        lib.skep_clean(ffi.from_buffer(batch), size, len(records), marked, len(marked))
        assert bytes(batch) == b"".join(_ended(record, texts) for record in records)


def test_records_alike_are_taken_up_to_the_limit_the_room_and_the_first_that_differs(ring):
    for number in range(12):
        ring.put(bytes([number]) * 40)
    ring.put(b"gone" * 10, DISCARDED)
    ring.put(b"y" * 40)
    ring.put(b"z" * 8)
    ring.put(b"busy" * 10, BUSY)

    assert ring.drain(limit=5)[1] == [bytes([number]) * 40 for number in range(5)]
    assert ring.drain(capacity=4 * 40 + 39)[1] == [bytes([number]) * 40 for number in range(5, 9)]
    assert ring.drain()[1] == [*(bytes([number]) * 40 for number in range(9, 12)), b"y" * 40, b"z" * 8]
    assert ring.drain()[1] == []


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=SIZE), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_no_contents_and_no_positions_break_it(data, consumer, ahead):
    ring = Ring(consumer & ~7, ahead % (SIZE * 2))
    try:
        ring.memory[2 * PAGE : 2 * PAGE + len(data)] = data
        ring.memory[2 * PAGE + SIZE : 2 * PAGE + SIZE + len(data)] = data

        error, records, drained = ring.drain()

        assert error in {0, -5}
        assert sum(map(len, records)) == drained.bytes <= SIZE
    finally:
        ring.close()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=120), st.sampled_from([0, DISCARDED])), max_size=12), st.integers(0, 5000))
def test_what_is_written_is_what_is_read(records, start):
    ring = Ring(start=start & ~7)
    try:
        for record, flags in records:
            ring.put(record, flags)
        assert ring.drain()[1] == [record for record, flags in records if not flags]
    finally:
        ring.close()
