"""guard: what it costs to be watched, above an empty program on the same hook; and whether all calls are seen.

A program makes cheap system calls, a cycle of 512 in which eight take turns. It is measured under a program that does
nothing, as one that the guard watches, as one that it does not, and as one of a thousand profiles of 2,000 sequences
each in one hash; in turn, in short stretches of which the fastest counts, since whatever else the machine does only
adds. Then two of them run at once, in stretches too, and one as fast as 500,000 calls a second, while the guard waits
for reports. At last a web server is asked under watch and without (served.py).
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import sub, truediv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import skep
from bench.guard.served import served
from bench.report import Row
from skep.base.abi.syscalls import syscalls
from skep.guard.behaviour import Trace, encode
from skep.guard.grams import pack
from skep.guard.live.watcher import Subject, Watcher

PROGRAMS = Path(__file__).parents[1] / "programs"
CALLS = ("getpid", "getppid", "getuid", "getgid", "geteuid", "getegid", "gettid", "getpgrp")
CYCLE = 512
# Calls in a stretch, and stretches of which the fastest counts.
STRETCH, STRETCHES = 50_000, 10
# How often each takes its turn in a run.
TURNS = 4
PROFILES, SEQUENCES = 1000, 2000
# Calls in a stretch of programs that the guard is to keep up with, and how many stretches; and calls a second of one
# that is to cost it nothing.
LIVE, LIVES, PACE = 1_000_000, 6, 500_000
SECONDS = 4


class Producer:
    """A process that makes system calls when it is told to."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, count: int) -> None:
        """Lets it make so many."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()

    def took(self) -> float:
        """Nanoseconds that each took."""
        assert self.process.stdout is not None
        return float(self.process.stdout.readline())

    def fastest(self) -> float:
        """Nanoseconds a call in the fastest of many stretches."""
        times = []
        for _ in range(STRETCHES):
            self.start(STRETCH)
            times.append(self.took())
        return min(times)


@contextmanager
def _producers(count: int) -> Iterator[list[Producer]]:
    with TemporaryDirectory() as folder:
        program = Path(folder) / "calls"
        subprocess.run(["cc", "-O2", "-o", program, PROGRAMS / "calls.c"], check=True)
        made = [Producer(program) for _ in range(count)]
        try:
            yield made
        finally:
            for producer in made:
                producer.process.communicate()


def _known() -> np.ndarray[Any, Any]:
    """The sequences of the cycle."""
    numbers = {name: number for number, name in syscalls(os.uname().machine).items()}
    codes, state = [], 1
    for call in range(2 * CYCLE):
        state = (state * 1664525 + 1013904223) % (1 << 32) if call % CYCLE else 1
        codes.append(encode(numbers[CALLS[state >> 29]]))
    keys, _ = pack([Trace(np.array(codes, np.uint64))])
    return np.unique(keys)


def _many(known: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """A thousand profiles: that of the cycle in their midst."""
    pick = np.random.default_rng(7)
    others = [np.unique(pick.integers(0, 1 << 63, SEQUENCES, np.uint64)) for _ in range(PROFILES - 1)]
    return [*others[: PROFILES // 2], known, *others[PROFILES // 2 :]]


def guard(runs: int) -> list[Row]:
    """All of it."""
    known = _known()
    many = _many(known)
    times: dict[str, list[float]] = {"nothing": [], "watched": [], "unwatched": [], "among 1,000": []}
    memory = []
    with _producers(2) as (producer, stranger):
        mine = Subject(pid=producer.process.pid)
        for _ in range(runs):
            turns: list[tuple[float, ...]] = []
            for _ in range(TURNS):
                with skep.compile(str(PROGRAMS / "nothing.bpf.c")).load() as loaded, loaded.attach():
                    nothing = producer.fastest()
                with Watcher([known], [(mine, 0)]) as watcher:
                    turns.append((nothing, producer.fastest(), stranger.fastest()))
                    assert watcher.counts()[0].unseen < CYCLE, "the sequences of the cycle are known"
            for name, values in zip(times, zip(*turns, strict=True), strict=False):
                times[name].append(min(values))
            with Watcher(many, [(mine, PROFILES // 2)]) as watcher:
                times["among 1,000"].append(min(producer.fastest() for _ in range(TURNS)))
                memory.append(watcher.memory / 1e6)
        rates, lost = _at_once(known, [producer, stranger], runs)
        idle = [_idle(known, producer) for _ in range(runs)]

    def compared(name: str, other: str, compare: Callable[[float, float], float]) -> list[float]:
        return [compare(one, two) for one, two in zip(times[name], times[other], strict=True)]

    return [
        *(Row(f"a call, {name}", values, "ns") for name, values in times.items()),
        *(Row(f"{name}, above nothing", compared(name, "nothing", sub), "ns") for name in times if name != "nothing"),
        Row("watched among 1,000, of watched alone", compared("among 1,000", "watched", truediv), "x"),
        Row("1,000 profiles of 2,000 sequences", memory, "MB"),
        Row("watched calls a second, on two CPUs", rates, "M/s"),
        Row("of these not accounted for", lost, "calls"),
        Row("CPU time of the guard at 500,000 calls a second", idle, "%"),
        *served(runs),
    ]


def _at_once(known: np.ndarray[Any, Any], producers: list[Producer], runs: int) -> tuple[list[float], list[float]]:
    rates, lost = [], []
    for _ in range(runs):
        with Watcher([known], [(Subject(pid=each.process.pid), 0) for each in producers]) as watcher:
            stretches = []
            for _ in range(LIVES):
                for each in producers:
                    each.start(LIVE)
                stretches.append(sum(1e3 / each.took() for each in producers))
            rates.append(max(stretches))
            (counts,) = watcher.counts()
            lost.append(float(sum(counts.untold) + counts.unwatched))
    return rates, lost


def _idle(known: np.ndarray[Any, Any], producer: Producer) -> float:
    """Percent of a CPU that the guard takes while a program does what it always does."""
    with Watcher([known], [(Subject(pid=producer.process.pid), 0)]) as watcher:
        end = time.monotonic() + SECONDS
        before = time.process_time()
        slice_ = PACE // 10
        while time.monotonic() < end:
            started = time.monotonic()
            producer.start(slice_)
            for _ in watcher.batches(0.1 - (time.monotonic() - started)):
                pass
            producer.took()
        return (time.process_time() - before) / SECONDS * 100
