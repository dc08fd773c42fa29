"""`loaded.batches()`: whose memory a batch is, what bad use is told, and buffers of several CPUs in one order."""

from __future__ import annotations

import os

import numpy as np
import pytest

from skep.base.errors import SkepError, UsageError
from skep.stream.reader import Reader


@pytest.fixture
def burst(program):
    """Fifty numbered records for each getppid(2) of ours."""
    spec = program("burst")
    spec.variables["pid_filter"].value = os.getpid()
    spec.variables["count"].value = 50
    with spec.load() as loaded, loaded.attach():
        yield loaded


@pytest.fixture
def regular(tmp_path):
    """A file descriptor that is no folder: nothing is removed below it."""
    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_RDONLY)
    yield fd
    os.close(fd)


def _numbers(batches):
    return [number for batch in batches for number in batch.array["number"].tolist()]


def test_batches_have_memory_of_their_own(burst):
    os.getppid()
    first, second, *_ = batches = list(burst.batches(timeout=0.2, size=10))

    assert [len(batch) for batch in batches] == [10] * 5
    assert _numbers(batches) == list(range(50))
    assert not np.shares_memory(first.array, second.array)


def test_what_is_lent_holds_until_the_next_batch(burst):
    os.getppid()
    seen, arrays = [], []
    for batch in burst.batches(timeout=0.2, size=10, copy=False):
        arrays.append(batch.array)
        seen += batch.array["number"].tolist()

    assert seen == list(range(50))
    assert np.shares_memory(arrays[0], arrays[1])


@pytest.mark.parametrize(
    ("options", "message"), [({"size": 0}, "a batch of 0 records"), ({"linger": -1}, "a linger of -1 s")]
)
def test_bad_options_are_told(burst, options, message):
    with pytest.raises(UsageError, match=message):
        next(burst.batches(**options))


def test_a_ring_that_another_reader_consumes_is_told(burst):
    os.getppid()
    batches = burst.batches(timeout=1, size=10)
    next(batches)
    with Reader(burst) as other:
        assert _numbers(other.batches(timeout=0.2)) == list(range(10, 50))
    os.getppid()

    with pytest.raises(SkepError, match="another reader takes records from ring buffer events"):
        list(batches)


def test_what_a_consumer_raises_surfaces_and_the_ring_can_be_read_on(burst):
    os.getppid()
    with pytest.raises(ZeroDivisionError):
        sum(len(batch) / 0 for batch in burst.batches(timeout=1, size=10))

    assert _numbers(burst.batches(timeout=0.2)) == list(range(10, 50))


def test_groups_tell_the_order_of_their_records(program):
    spec = program("several")
    spec.variables["pid_filter"].value = os.getpid()
    with spec.load() as loaded, loaded.attach():
        os.getppid()
        batches = list(loaded.batches(timeout=0.2))

    numbers = {batch.schema.name: batch.array["number"].tolist() for batch in batches}
    assert numbers == {"large": [0, 3], "small": [1, 2, 4, 5]}
    assert {batch.schema.name: list(batch.order) for batch in batches} == numbers


@pytest.mark.floors("6.1")
def test_perf_buffers_of_several_cpus_are_merged_in_the_order_of_time(program, regular):
    spec = program("perf")
    spec.variables["pid_filter"].value = os.getpid()
    cpus = sorted(os.sched_getaffinity(0))
    names = [f"/nowhere/{number:02}" for number in range(40)]
    with spec.load() as loaded, loaded.attach(), Reader(loaded, merge=True) as reader:
        try:
            for number, name in enumerate(names):
                os.sched_setaffinity(0, {cpus[number % len(cpus)]})
                with pytest.raises(NotADirectoryError):
                    os.unlink(name[1:], dir_fd=regular)
        finally:
            os.sched_setaffinity(0, cpus)
        read = [row.text for batch in reader.rest() for row in batch.rows()]

    assert read == [name[1:] for name in names]


def test_what_one_reading_has_told_to_be_lost_the_next_does_not_tell_again(program):
    spec = program("burst")
    spec.variables["pid_filter"].value = os.getpid()
    spec.variables["count"].value = 100
    with spec.load() as loaded, loaded.attach():
        for _ in range(3):
            # The ring holds 64 of them at most.
            os.getppid()
            batches = list(loaded.batches(timeout=0.1))
            assert sum(map(len, batches)) <= 64
            assert sum(len(batch) + batch.lost for batch in batches) == 100


def test_a_reader_that_is_closed_meanwhile_gives_no_more(program, regular):
    spec = program("perf")
    spec.variables["pid_filter"].value = os.getpid()
    cpus = sorted(os.sched_getaffinity(0))
    with spec.load() as loaded, loaded.attach(), Reader(loaded) as reader:
        try:
            for cpu in cpus:
                os.sched_setaffinity(0, {cpu})
                with pytest.raises(NotADirectoryError):
                    os.unlink("name", dir_fd=regular)
        finally:
            os.sched_setaffinity(0, cpus)
        batches = reader.drain()
        next(batches)
        reader.close()

        assert list(batches) == []
