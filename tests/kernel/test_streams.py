"""Rings and perf buffers of real programs: what arrives, what is lost, in which order."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from skep.session.run import Run


@pytest.mark.floors("6.12", "6.1")
def test_a_perf_buffer_gives_records_that_were_cut_short(program, tmp_path):
    name = str(tmp_path / "x")[-40:]
    with Run(program("perf"), command=["sh", "-c", f"rm -f {name}; rm -f {'y' * 60}"], stdout=2) as run:
        batches = list(run.batches(duration=60))

    rows = [row for batch in batches for row in batch.rows()]
    assert [(row.text, row.length) for row in rows] == [(name, len(name) + 1), ("y" * 60, 61)]
    assert {batch.cpu for batch in batches} <= {0, 1, 2, 3, 4, 5, 6, 7}


def test_arrays_hold_what_rows_hold(program):
    spec = program("burst")
    spec.variables["pid_filter"].value = os.getpid()
    spec.variables["count"].value = 50
    with spec.load() as loaded, loaded.attach():
        os.getppid()
        batches = list(loaded.batches(timeout=0.2))

    assert [row.number for batch in batches for row in batch.rows()] == list(range(50))
    assert [number for batch in batches for number in batch.array["number"].tolist()] == list(range(50))
    assert {batch.stride for batch in batches} == {56}


@pytest.mark.floors("6.1")
def test_what_a_full_ring_cannot_hold_is_counted(program):
    spec = program("burst")
    spec.variables["pid_filter"].value = os.getpid()
    spec.variables["count"].value = 1000
    with Run(spec) as run:
        # Nobody reads meanwhile: a ring of 4,096 bytes holds 64 records of 56 bytes with their headers of 8.
        os.getppid()
        rows = [row for batch in run.batches(duration=0.2) for row in batch.rows()]
        lost = run.summary().lost or 0

    assert [row.number for row in rows] == list(range(len(rows)))
    assert 60 <= len(rows) <= 64
    assert lost == 1000 - len(rows)


def test_what_is_lost_is_told_every_second_and_in_total(skep):
    options = ["--pid-filter", str(os.getpid()), "--set", "count=1000"]
    command = [*skep, "run", "tests/programs/burst.bpf.o", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines: list[str] = []
        while process.poll() is None and not any(" lost in " in line for line in lines):
            os.getppid()
            if select.select([process.stderr], [], [], 0)[0]:
                lines.append(process.stderr.readline())
        process.send_signal(signal.SIGINT)
        lines += process.stderr.readlines()

    told = [int(found[1]) for line in lines if (found := re.match(r"skep: (\d+) lost in [\d.]+ s: ", line))]
    (total,) = [int(found[1]) for line in lines if (found := re.match(r"skep: \d+ events?, (\d+) lost", line))]
    assert told
    assert 0 < sum(told) <= total


def test_what_a_full_perf_buffer_cannot_hold_is_counted(program):
    # Records of 8 + 8 to 80 bytes, sent while nobody reads.
    spec = program("perf")
    spec.variables["pid_filter"].value = os.getpid()
    with Run(spec) as run:
        for _ in range(8000):
            try:
                os.unlink("x" * 60, dir_fd=0)
            except OSError:
                continue
        shown = sum(batch.count for batch in run.batches(duration=0.2))
        lost = run.summary().lost or 0
        again = run.summary().lost

    assert lost > 0
    assert shown + lost == 8000
    assert again == lost


def test_events_end_at_the_timeout(program):
    spec = program("burst")
    spec.variables["pid_filter"].value = os.getpid()
    started = time.monotonic()
    with spec.load() as loaded, loaded.attach():
        assert list(loaded.events(timeout=0.1)) == []

    assert time.monotonic() - started >= 0.1


def test_a_run_ends_after_so_many_events(program):
    spec = program("burst")
    spec.variables["pid_filter"].value = os.getpid()
    spec.variables["count"].value = 30
    with Run(spec) as run:
        os.getppid()
        rows = [row for batch in run.batches(count=7) for row in batch.rows()]

    assert [row.number for row in rows] == [0, 1, 2, 3, 4, 5, 6]


def test_a_loaded_object_that_is_never_closed_warns(program):
    loaded = program("burst").load()
    with pytest.warns(ResourceWarning, match="never closed"):
        loaded.__del__()


def test_a_count_is_never_exceeded_and_ends_the_command(program):
    command = ["sh", "-c", "while :; do rm -f /nowhere; done"]
    with Run(program("tracepoint"), command=command, stdout=2) as run:
        rows = [row for batch in run.batches(duration=60, count=5) for row in batch.rows()]
        summary = run.summary()

    assert len(rows) == 5
    assert summary.events == {"events": 5}
    assert summary.command == ("sh", -15)


@pytest.mark.floors("6.1")
def test_sizes_that_the_source_leaves_open_have_defaults(program):
    spec = program("sizes")
    spec.variables["pid_filter"].value = os.getpid()
    with spec.load() as loaded, loaded.attach():
        os.getppid()

        assert {name: map_.max_entries for name, map_ in loaded.maps.items()} == {
            "events": 256 * 1024,
            "counts": 10240,
            "stacks": 10240,
        }
        assert [event.pid for event in loaded.events(timeout=0.2)] == [os.getpid()]


def test_sizes_may_be_chosen(program):
    with program("sizes").load(sizes={"counts": 7, "events": 8192}) as loaded:
        assert (loaded.maps["counts"].max_entries, loaded.maps["events"].max_entries) == (7, 8192)


def test_records_of_several_types_are_told_apart_by_their_sizes(program):
    spec = program("several")
    spec.variables["pid_filter"].value = os.getpid()
    with Run(spec) as run:
        os.getppid()
        batches = list(run.batches(duration=0.2))

    rows = [(batch.schema.name, row.number) for batch in batches for row in batch.rows()]
    assert rows == [("large", 0), ("small", 1), ("small", 2), ("large", 3), ("small", 4), ("small", 5)]
    assert [batch.array["number"].tolist() for batch in batches] == [[0], [1, 2], [3], [4, 5]]


def test_records_of_one_size_are_told_apart_by_a_member(program):
    spec = program("tagged")
    spec.variables["pid_filter"].value = os.getpid()
    with Run(spec) as run:
        os.getppid()
        batches = list(run.batches(duration=0.2))

    rows = {(batch.source, batch.schema.name): list(batch.rows()) for batch in batches}
    assert [(row.header.kind, row.number, row.name) for row in rows["events", "opened"]] == [(1, 7, "some name")]
    assert [(row.header.kind, row.code) for row in rows["events", "closed"]] == [(2, 10), (300, 11)]
    assert [(row.number, row.name) for row in rows["more", "opened"]] == [(8, "cut")]
    assert [row.code for row in rows["more", "closed"]] == [9]


@pytest.mark.floors("6.1")
def test_records_of_which_nothing_is_known_are_bytes(program):
    spec = program("open")
    spec.variables["pid_filter"].value = os.getpid()
    with Run(spec) as run:
        question = "the type of the records of raw cannot be told: --event 'raw=struct event'"
        assert any(notice.startswith(question) for notice in run.notices)
        os.getppid()
        batches = {batch.source: batch for batch in run.batches(duration=0.2)}

    first = b"\1\0\0\0\2" if os.getpid() & 1 else b"\1\0\0"
    assert list(batches["raw"].rows()) == [(first,), (b"\0\0\0\0\2\0\0\0",)]
    assert batches["raw"].array["data"].tolist() == [first.ljust(8, b"\0"), b"\0\0\0\0\2\0\0\0"]
    assert [row.number for row in batches["typed"].rows()] == [2]


def test_losses_that_a_file_does_not_count_are_not_said_to_be_none(program):
    with Run(program("uncounted"), command=["true"], stdout=2) as run:
        list(run.batches(duration=60))

        assert run.summary().lost is None


@pytest.fixture
def busy():
    """A process that calls getppid(2) all the time."""
    process = subprocess.Popen([sys.executable, "-c", "import os\nwhile True: os.getppid()"])
    yield process.pid
    process.kill()
    process.wait()


def test_a_run_ends_even_if_a_producer_keeps_up_with_it(program, busy):
    spec = program("burst")
    spec.variables["pid_filter"].value = busy
    spec.variables["count"].value = 1000
    signal.alarm(60)
    try:
        with Run(spec, sizes={"events": 64 * 1024 * 1024}) as run:
            count = sum(batch.count for batch in run.batches(duration=0.5))
    finally:
        signal.alarm(0)

    assert count > 1000
