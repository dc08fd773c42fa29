"""guard: what the requests of a busy web server lose when it is watched: with and without, in turn, by the same client.

The server is that of the tests (tests/kernel/services/web.py), learned under the same load: nothing is reported.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.report import Row
from skep.guard.live.learning import record_command
from skep.guard.live.watcher import Subject, Watcher
from skep.guard.profile import learn

SERVER = Path(__file__).parents[2] / "tests/kernel/services/web.py"
PORT = 8471
# Seconds of each turn, and turns of a run.
TURN, TURNS = 0.25, 8
LEARNED = 2.0


def _ask() -> None:
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        connection.sendall(b"GET /page HTTP/1.0\r\n\r\n")
        while connection.recv(65536):
            pass


def _rate() -> float:
    """Requests a second."""
    count, end = 0, time.perf_counter() + TURN
    while time.perf_counter() < end:
        _ask()
        count += 1
    return count / TURN


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
            try:
                return [Row("requests of a web server, of those without a guard", _turns(runs, known, server.pid), "x")]
            finally:
                server.terminate()


def _turns(runs: int, known: np.ndarray[Any, Any], pid: int) -> list[float]:
    while True:
        try:
            _ask()
            break
        except ConnectionRefusedError:
            time.sleep(0.01)
    shares = []
    for _ in range(runs):
        without, under = [], []
        for _ in range(TURNS):
            without.append(_rate())
            with Watcher([known], [(Subject(pid=pid), 0)]):
                under.append(_rate())
        shares.append(max(under) / max(without))
    return shares


def _until(over: threading.Event) -> None:
    while not over.is_set():
        try:
            _ask()
        except OSError:
            time.sleep(0.01)
