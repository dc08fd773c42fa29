"""Programs run by themselves: what they return, what they make of what they are given, how long they take."""

from __future__ import annotations

import signal
import struct

import pytest

import skep

PACKET = bytes(range(12)) + b"\x08\x00" + b"." * 50


@pytest.fixture
def programs(program):
    with program("rewrite").load() as loaded:
        yield loaded.programs


@pytest.mark.floors("6.12", "6.1")
def test_a_program_on_packets_gives_back_the_packet(programs):
    run = programs["longer"].test_run(PACKET)

    assert (run.returned, run.data) == (2, b"skep" + PACKET)
    assert repr(run).startswith("<TestRun returned 2, 68 bytes, ")


def test_a_packet_may_grow_beyond_the_room_for_it(programs):
    run = programs["much_longer"].test_run(PACKET)

    assert run.returned == -1
    assert len(run.data) == 1500
    assert run.data.startswith(PACKET)


@pytest.mark.floors("6.1")
def test_a_context_goes_in_and_comes_out(programs):
    # struct __sk_buff: the mark is its third number.
    run = programs["marked"].test_run(PACKET, ctx=struct.pack("=48I", 0, 0, 41, *[0] * 45))

    assert struct.unpack_from("=3I", run.ctx)[2] == 42
    assert run.data == PACKET


@pytest.mark.floors("6.1")
def test_a_tracepoint_takes_its_arguments_and_a_system_call_its_struct(programs):
    assert programs["difference"].test_run(ctx=[5, 7]).returned == -2
    assert programs["difference"].test_run(ctx=[-5, 7]).returned == -12
    assert programs["difference"].test_run(ctx=bytearray(struct.pack("=2Q", 9, 7))).returned == 2
    given = struct.pack("=2I", 21, 0)
    run = programs["answer"].test_run(ctx=given)

    assert (run.returned, struct.unpack("=2I", run.ctx)) == (-1, (21, 42))
    assert given == struct.pack("=2I", 21, 0)


def test_a_duration_is_of_one_run(programs):
    assert programs["marked"].test_run(PACKET, repeat=1000).duration < 100_000


def test_a_signal_that_comes_meanwhile_is_no_failure(programs):
    signals = []
    before = signal.signal(signal.SIGALRM, lambda *_: signals.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        while not signals:
            assert programs["marked"].test_run(PACKET, repeat=1_000_000).data == PACKET
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("longer", {"data": b"short"}, skep.UsageError, "14 bytes at least, not 5"),
        ("difference", {"ctx": [1, 2], "repeat": 5}, skep.UsageError, "does not take what it was to be run with"),
        ("difference", {"ctx": [1, 1 << 64]}, skep.UsageError, "arguments of tracepoints are numbers of 64 bits"),
        ("difference", {"ctx": ["1", 2]}, skep.UsageError, "arguments of tracepoints are numbers of 64 bits"),
        # The kernel would take -1 for four billion times.
        ("marked", {"data": PACKET, "repeat": -1}, skep.UsageError, "repeat=-1: a program is run once at least"),
        ("marked", {"data": PACKET, "repeat": 0}, skep.UsageError, "repeat=0: a program is run once at least"),
        ("never", {}, skep.UnsupportedError, "cannot be run by itself"),
    ],
)
def test_what_a_program_does_not_take_is_told(programs, name, options, error, message):
    with pytest.raises(error, match=message):
        programs[name].test_run(**options)


def test_a_closed_program_runs_no_more(program):
    with program("rewrite").load() as loaded:
        longer = loaded.programs["longer"]

    with pytest.raises(skep.ClosedError, match="program longer is closed"):
        longer.test_run(PACKET)
    assert repr(longer) == "<Program 'longer' xdp, closed>"
