"""What is closed is of no use and can be closed again; what a process has opened is not its forks'."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import pytest

import skep


def in_a_fork(use) -> str:
    """What becomes of a use in a forked child: the message of its error, or what it returns."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(sender, repr(use()).encode())
        except skep.SkepError as error:
            os.write(sender, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(sender)
    with open(receiver) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


def test_what_is_closed_is_of_no_use_and_may_be_closed_again(program):
    loaded = program("burst").load()
    ring, run = loaded.maps["events"], loaded.programs["hook"]
    loaded.close()
    loaded.close()

    assert loaded.closed
    # Their numbers may be those of other files by now.
    assert (ring.fd, run.fd) == (-1, -1)
    for use in (
        lambda: loaded.maps,
        lambda: loaded.programs,
        lambda: loaded.variables,
        loaded.attach,
        loaded.enable_statistics,
    ):
        with pytest.raises(skep.ClosedError, match="is closed"):
            use()


def test_a_fork_is_refused_and_leaves_its_parent_what_it_has(program):
    with program("variables").load() as loaded:
        variable, number = loaded.variables["runs"], loaded.programs["run"].fd

        for use in (loaded.attach, lambda: loaded.maps, lambda: variable.value):
            said = in_a_fork(use)
            assert said.startswith("ClosedError: ")
            assert f"belongs to process {os.getpid()}, and this is a fork of it" in said
        # It holds nothing that its parent will have closed.
        assert in_a_fork(lambda: os.path.exists(f"/proc/self/fd/{number}")) == "False"

        with loaded.attach():
            assert variable.value == 5


@pytest.fixture
def sending(program):
    """burst.bpf.c, which sends ten records at each getppid(2) of this process: loaded and attached."""
    spec = program("burst")
    spec.variables["pid_filter"].value = os.getpid()
    spec.variables["count"].value = 10
    with spec.load() as loaded, loaded.attach():
        yield loaded


@pytest.mark.floors("6.1")
def test_events_come_to_an_event_loop_that_does_other_things(sending):
    async def read() -> tuple[list[int], int]:
        numbers: list[int] = []
        turns = 0

        async def work() -> None:
            nonlocal turns
            while len(numbers) < 20:
                os.getppid()
                turns += 1
                await asyncio.sleep(0)

        working = asyncio.create_task(work())
        async for event in sending.events(timeout=30):
            numbers.append(event.number)
            if len(numbers) == 20:
                break
        await working
        return numbers, turns

    numbers, turns = asyncio.run(read())

    assert numbers == [*range(10), *range(10)]
    assert turns >= 2


def test_a_loop_that_an_event_loop_has_left_gives_way_at_once(sending):
    async def read() -> list[object]:
        found: list[object] = []
        os.getppid()
        async for event in sending.events():
            found.append(event.number)
            break
        first = aiter(sending.events())
        os.getppid()
        found.append((await anext(first)).number)
        os.getppid()
        found.append(sum([1 async for _ in sending.events(timeout=0)]))
        # The rest of its batch is there; what comes after it is another's.
        try:
            found.append(sum([1 async for _ in first]))
        except skep.ClosedError as error:
            found.append("another reading of the same object has begun" in str(error))
        return found

    assert asyncio.run(read()) == [0, 0, 10, True]


def test_an_event_loop_is_told_of_the_end_and_of_a_closed_object(sending):
    async def read() -> list[object]:
        assert [event async for event in sending.events(timeout=0.05)] == []
        os.getppid()
        batches = [batch async for batch in sending.batches(timeout=0.05)]
        reading = asyncio.create_task(anext(aiter(sending.events()), "the end"))
        await asyncio.sleep(0.05)
        sending.close()
        return [[batch.count for batch in batches], await reading]

    assert asyncio.run(read()) == [[10], "the end"]


def test_threads_share_the_events_of_one_object(sending):
    found: list[list[int]] = [[], []]
    events = sending.events(timeout=1)

    def read(numbers: list[int]) -> None:
        numbers.extend(event.number for event in events)

    threads = [threading.Thread(target=read, args=(numbers,)) for numbers in found]
    for thread in threads:
        thread.start()
    # The ring has room for 64.
    for _ in range(5):
        os.getppid()
    for thread in threads:
        thread.join()

    assert sorted(found[0] + found[1]) == sorted([*range(10)] * 5)


def test_a_second_reading_of_one_object_ends_the_first(sending):
    events = sending.events()
    os.getppid()
    assert next(events).number == 0

    assert list(sending.events(timeout=0)) == []
    with pytest.raises(skep.ClosedError, match="another reading of the same object has begun"):
        list(events)
    events.close()
    events.close()
    os.getppid()
    assert [event.number for event in sending.events(timeout=0)] == [*range(10)]


def test_a_loop_that_was_left_is_no_reader_any_more(sending):
    for _ in range(2):
        os.getppid()
        for event in sending.events():
            assert event.number == 0
            break
    events = sending.events(timeout=0)
    assert list(events) == list(events) == []


def test_a_loop_that_was_left_can_be_gone_on_with(sending):
    os.getppid()
    with sending.events(timeout=0) as events:
        numbers = [next(events).number]
        for event in events:
            numbers.append(event.number)
            if event.number == 3:
                break
        numbers += [event.number for event in events]

    assert numbers == [*range(10)]
    os.getppid()
    events = sending.events()
    assert next(events).number == 0
    events.close()
    assert list(events) == []


def test_a_thread_that_begins_while_its_reading_is_closed_reads_nothing(sending):
    batches, found = sending.batches(timeout=0), []
    os.getppid()
    thread = threading.Thread(target=lambda: found.append(list(batches)))
    with batches._lock:
        thread.start()
        time.sleep(0.05)
        batches.close()
    thread.join(10)

    assert found == [[]]


def test_a_second_reading_is_refused_while_a_thread_waits_for_the_first(sending):
    events = sending.events()
    thread = threading.Thread(target=list, args=(events,))
    thread.start()
    while sending._reading is None:
        time.sleep(0.001)

    with pytest.raises(skep.UsageError, match="are being read already"):
        next(sending.events(timeout=0))
    events.close()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("what", ["events", "object"])
def test_a_signal_handler_ends_the_reading_that_it_interrupts(sending, what):
    events, alarms = sending.events(), []

    def close(*_: object) -> None:
        alarms.append(1)
        # The second comes to one that has not ended.
        assert len(alarms) == 1
        (events if what == "events" else sending).close()

    before = signal.signal(signal.SIGALRM, close)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 10)
    try:
        assert list(events) == []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_thread_that_waits_is_told_when_its_object_is_closed(sending):
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(sending.events()))
    thread.start()
    # Until it has begun to read, there is nothing to be told of.
    while not found:
        os.getppid()
    sending.close()
    thread.join(10)

    assert not thread.is_alive()
    with pytest.raises(skep.ClosedError, match="is closed"):
        sending.events()


def test_a_fork_does_not_read_what_its_parent_reads(sending):
    events = sending.events()
    os.getppid()
    assert next(events).number == 0

    said = in_a_fork(lambda: next(sending.events()))
    assert f"belongs to process {os.getpid()}, and this is a fork of it" in said
    said = in_a_fork(lambda: [event.number for event in events])
    assert f"belongs to process {os.getpid()}, and this is a fork of it" in said
    assert [next(events).number for _ in range(9)] == [*range(1, 10)]
    events.close()


def test_what_is_shown_tells_its_state(sending):
    assert repr(sending) == "<Object burst: 1 programs, 2 maps>"
    events = sending.events()
    assert repr(events) == "<Events of burst>"
    events.close()
    assert repr(events) == "<Events of burst, closed>"
    sending.close()
    assert repr(sending) == "<Object burst: 1 programs, 2 maps, closed>"


def test_a_run_is_its_parents_and_of_no_use_when_it_is_closed(program):
    with skep.Run(program("tracepoint"), command=["sh", "-c", "read line; rm -f /nowhere"], stdout=2) as run:
        said = in_a_fork(run.close)
        assert said == "None"
        assert "this is a fork of it" in in_a_fork(run.summary)
        assert "this is a fork of it" in in_a_fork(lambda: list(run.batches()))
        rows = [row for batch in run.batches(duration=60) for row in batch.rows()]
    run.close()

    assert [row.comm for row in rows] == ["rm"]
    for use in (run.summary, lambda: list(run.batches())):
        with pytest.raises(skep.ClosedError, match="<Run of tracepoint> is closed"):
            use()


def test_two_threads_that_close_the_same_object_close_it_once(program):
    for _ in range(20):
        loaded = program("burst").load()
        links = loaded.attach()
        threads = [threading.Thread(target=each.close) for each in (loaded, loaded, links, links)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert loaded.closed
        assert links.closed


def test_threads_write_to_one_map_and_a_fork_does_not(program):
    with program("kinds").load() as loaded:
        counts = loaded.maps["lru_hash"]

        def write(first: int) -> None:
            for number in range(first, first + 50):
                counts[number] = number
                assert counts[number] == number

        threads = [threading.Thread(target=write, args=(50 * number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert dict(counts) == {number: number for number in range(200)}

        assert in_a_fork(lambda: counts.update({7: 0})).startswith("ClosedError: map lru_hash is closed")
        assert counts[7] == 7
