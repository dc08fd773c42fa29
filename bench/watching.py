"""Processes that are measured: one that provokes events, those that watch it, and what the kernel says of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

SKEP = Path(sys.executable).with_name("skep")


class Producer:
    """A process that provokes events when it is told to.

    Args:
        command: of programs/provoke.c.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid

    def provoke(self, count: int) -> tuple[int, float]:
        """So many, or a few more: how many, and in how many seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        events, nanoseconds = self._process.stdout.readline().split()
        return int(events), int(nanoseconds) / 1e9

    def end(self) -> None:
        """Lets it end."""
        self._process.communicate()


class Account:
    """What the kernel says of a process: how often its programs ran, how long; the memory of its maps; its own time.

    Args:
        pid: of the process.
    """

    def __init__(self, pid: int | str) -> None:
        programs: dict[str, tuple[int, int]] = {}
        maps: dict[str, int] = {}
        for path in Path(f"/proc/{pid}/fdinfo").iterdir():
            with suppress(FileNotFoundError):
                told = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
                if "run_time_ns" in told:
                    programs[told["prog_id"]] = int(told["run_cnt"]), int(told["run_time_ns"])
                elif "map_id" in told:
                    maps[told["map_id"]] = int(told["memlock"])
        self.runs, self.nanoseconds = (sum(each) for each in zip(*programs.values(), strict=True))
        self.memory = sum(maps.values())
        times = [path.read_text().split()[0] for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
        self.cpu = sum(map(int, times)) / 1e9


@contextmanager
def running(source: str, options: Sequence[str]) -> Iterator[int]:
    """The process id of a run that has attached its programs.

    Args:
        source: a kernel file, or the name of a tool.
        options: of `skep run`.
    """
    command = [str(SKEP), "run", source, *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if b"attached" in line:
                    break
            else:
                sys.exit(f"bench/run: {' '.join(command)}: {b''.join(said).decode()}")
            yield process.pid
        finally:
            process.send_signal(signal.SIGINT)
            process.stderr.read()


@contextmanager
def peer(name: str, begun: str, options: Sequence[str]) -> Iterator[int]:
    """The process id of a tool of libbpf-tools that has attached its programs.

    Args:
        name: of the tool.
        begun: what it says then.
        options: of it.
    """
    with TemporaryFile("w+") as output:
        command = ["stdbuf", "-oL", f"/usr/sbin/{name}", *options]
        with subprocess.Popen(command, stdout=output, stderr=output) as process:
            try:
                while begun not in _read(output):
                    if process.poll() is not None:
                        sys.exit(f"bench/run: {' '.join(command)}: {_read(output)}")
                    time.sleep(0.05)
                yield process.pid
            finally:
                process.send_signal(signal.SIGINT)


def _read(file: IO[str]) -> str:
    return os.pread(file.fileno(), 1 << 16, 0).decode(errors="replace")
