"""guard: what the requests of a busy web server lose when it is watched: with and without, in turn, by the same client.

The server is that of the tests (tests/kernel/services/web.py), learned under the same load: nothing is reported. It has
one CPU, and the client another. Each short stretch under watch is compared with the two around it, and of many such
ratios the median counts: whatever else the machine does meanwhile comes and goes.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.report import Row
from skep.guard.live.learning import record_command
from skep.guard.live.watcher import Subject, Watcher
from skep.guard.profile import learn

SERVER = Path(__file__).parents[2] / "tests/kernel/services/web.py"
PORT = 8471
# Seconds of a stretch, requests before each that do not count, and stretches under watch in a run.
STRETCH, WARM, PAIRS = 0.25, 20, 12
# Seconds before that: the kernel goes on for a while to free what was detached.
SETTLE = 0.2
LEARNED = 2.0


def _ask() -> None:
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        connection.sendall(b"GET /page HTTP/1.0\r\n\r\n")
        while connection.recv(65536):
            pass


def _rate() -> float:
    """Requests a second."""
    time.sleep(SETTLE)
    for _ in range(WARM):
        _ask()
    count, began = 0, time.perf_counter()
    while time.perf_counter() < began + STRETCH:
        _ask()
        count += 1
    return count / (time.perf_counter() - began)


def served(runs: int) -> list[Row]:
    """The row of it."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "www").mkdir()
        (Path(folder) / "www/page").write_bytes(b"x" * 4096)
        (Path(folder) / "server.conf").touch()
        command = ["/usr/bin/python3", "-B", str(SERVER), folder, str(PORT)]
        over = threading.Event()
        load = threading.Thread(target=_until, args=(over,))
        load.start()
        profile = learn(record_command(command, 1, seconds=LEARNED, stdout=2), os.uname().machine)
        over.set()
        load.join()
        known = np.unique(np.concatenate([role.grams.keys for role in profile.roles.values()]))
        with subprocess.Popen(command) as server:
            cpus = os.sched_getaffinity(0)
            try:
                _apart(server.pid, sorted(cpus))
                return [Row("requests of a web server, of those without a guard", _turns(runs, known, server.pid), "x")]
            finally:
                os.sched_setaffinity(0, cpus)
                server.terminate()


def _apart(pid: int, cpus: list[int]) -> None:
    """Gives a process one CPU, and us another."""
    if len(cpus) > 1:
        os.sched_setaffinity(pid, cpus[:1])
        os.sched_setaffinity(0, cpus[1:2])


def _turns(runs: int, known: np.ndarray[Any, Any], pid: int) -> list[float]:
    while True:
        try:
            _ask()
            break
        except ConnectionRefusedError:
            time.sleep(0.01)
    shares = []
    for _ in range(runs):
        ratios, before = [], _rate()
        for _ in range(PAIRS):
            with Watcher([known], [(Subject(pid=pid), 0)]):
                under = _rate()
            after = _rate()
            ratios.append(2 * under / (before + after))
            before = after
        shares.append(median(ratios))
    return shares


def _until(over: threading.Event) -> None:
    while not over.is_set():
        try:
            _ask()
        except OSError:
            time.sleep(0.01)
