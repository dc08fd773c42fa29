"""guard: what the requests of a busy web server lose when it is watched: with and without, in turn.

The server is that of the tests (tests/kernel/services/web.py), learned under the same load: nothing is reported. It has
one CPU, and the clients another; they are several, so that the server always has a request to answer: what counts is
not how fast two processes wake one another. Each short stretch under watch is compared with the two around it, and of
many such ratios the median counts: whatever else the machine does meanwhile comes and goes.
"""

from __future__ import annotations

import mmap
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.report import Row
from skep.guard.live.learning import record_command
from skep.guard.live.watcher import Subject, Watcher
from skep.guard.profile import learn

Array = np.ndarray[Any, Any]

SERVER = Path(__file__).parents[2] / "tests/kernel/services/web.py"
PORT = 8471
CLIENTS = 3
# Seconds of a stretch, and stretches under watch in a run.
STRETCH, PAIRS = 0.3, 24
# Seconds before a stretch: the kernel goes on for a while to free what was detached.
SETTLE = 0.2
LEARNED = 2.0


def _ask() -> None:
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        connection.sendall(b"GET /page HTTP/1.0\r\n\r\n")
        while connection.recv(65536):
            pass


def _ask_always(asked: Array, number: int) -> None:
    while True:
        try:
            _ask()
            asked[number] += 1
        except OSError:
            # The server is not there yet, or no more.
            time.sleep(0.01)


@contextmanager
def _clients() -> Iterator[Array]:
    """Processes that ask, and how often each has been answered."""
    asked = np.frombuffer(mmap.mmap(-1, 8 * CLIENTS), np.int64)
    asking = [get_context("fork").Process(target=_ask_always, args=(asked, each)) for each in range(CLIENTS)]
    for process in asking:
        process.start()
    try:
        yield asked
    finally:
        for process in asking:
            process.kill()
            process.join()


def _rate(asked: Array) -> float:
    """Requests a second."""
    time.sleep(SETTLE)
    before, began = int(asked.sum()), time.perf_counter()
    time.sleep(STRETCH)
    return (int(asked.sum()) - before) / (time.perf_counter() - began)


def served(runs: int) -> list[Row]:
    """The row of it."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "www").mkdir()
        (Path(folder) / "www/page").write_bytes(b"x" * 4096)
        (Path(folder) / "server.conf").touch()
        command = ["/usr/bin/python3", "-B", str(SERVER), folder, str(PORT)]
        with _clients():
            profile = learn(record_command(command, 1, seconds=LEARNED, stdout=2), os.uname().machine)
        known = np.unique(np.concatenate([role.grams.keys for role in profile.roles.values()]))
        with subprocess.Popen(command) as server:
            cpus = os.sched_getaffinity(0)
            try:
                _apart(server.pid, sorted(cpus))
                shares = _turns(runs, known, server.pid)
            finally:
                os.sched_setaffinity(0, cpus)
                server.terminate()
    return [Row("requests of a web server, of those without a guard", shares, "share")]


def _apart(pid: int, cpus: list[int]) -> None:
    """Gives a process one CPU, and us another."""
    if len(cpus) > 1:
        os.sched_setaffinity(pid, cpus[:1])
        os.sched_setaffinity(0, cpus[1:2])


def _turns(runs: int, known: Array, pid: int) -> list[float]:
    shares = []
    with _clients() as asked:
        while not asked.all():
            time.sleep(0.01)
        for _ in range(runs):
            ratios, before = [], _rate(asked)
            for _ in range(PAIRS):
                with Watcher([known], [(Subject(pid=pid), 0)]):
                    under = _rate(asked)
                after = _rate(asked)
                ratios.append(2 * under / (before + after))
                before = after
            shares.append(median(ratios))
    return shares
