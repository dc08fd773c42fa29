"""Tools beside those of the same name in libbpf-tools: both watch one workload, and count the same.

Where they differ, both counts are asserted, and the difference is told here and in docs/tools.md.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from skep.base.errors import UnsupportedError
from skep.kernel.places import find_disk
from skep.session.api import read_spec
from skep.session.run import Run
from tests.disks import has_disks, made_disk
from tests.turns import turns

# They look for tracepoints by way of debugfs, and leave some out where it is not mounted, as here.
MOUNT = 'mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug; exec "$@"'


class Peer:
    """A tool of libbpf-tools: it has attached its programs once it says so, and writes until it is interrupted.

    Args:
        folder: for what it writes.
        words: its name and its options.
        begun: what it says.
    """

    def __init__(self, folder: Path, *words: str, begun: str) -> None:
        self._output = folder / words[0]
        self._words = words
        self._begun = begun

    def __enter__(self) -> Self:
        mounted = ["unshare", "--mount", "sh", "-c", MOUNT, "sh"]
        command = [*mounted, "stdbuf", "-oL", f"/usr/sbin/{self._words[0]}", *self._words[1:]]
        with self._output.open("w") as file:
            self._process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        self._wait(lambda: self._begun in self._text)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=60)

    @property
    def _text(self) -> str:
        return self._output.read_text(errors="replace")

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Until it holds; what does not come is for the test to miss."""
        end = time.monotonic() + 60
        while not condition() and self._process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)

    def events(self, read: Callable[[str], Any], count: int) -> list[Any]:
        """What `read` makes of its lines, where that is not None: so many, and any more that it has written by then."""

        def found() -> list[Any]:
            return [event for event in map(read, self._text.splitlines()) if event is not None]

        self._wait(lambda: len(found()) >= count)
        self.__exit__()
        return found()

    def count(self) -> int:
        """The sum of its histogram."""
        self.__exit__()
        lines = (line.split() for line in self._text.splitlines())
        return sum(int(words[4]) for words in lines if len(words) > 4 and words[1:4:2] == ["->", ":"])


@contextmanager
def workload(code: str, *arguments: str) -> Iterator[Workload]:
    """A process that works when it is told to. It keeps to one CPU: its events are in order."""
    turn = "print(flush=True); input()"
    lines = ["import os, sys", "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})", turn, code, turn]
    command = [sys.executable, "-S", "-c", "\n".join(lines), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "\n"
        yield Workload(process)
    finally:
        process.communicate("\n", timeout=60)
    assert process.returncode == 0


class Workload:
    """That process.

    Args:
        process: which has written a line and waits for one, works, writes another, and waits again.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def work(self) -> None:
        """Until it is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "\n"


def rows(run: Run) -> list[Any]:
    """What a run has seen by now."""
    return [row for batch in run.batches(duration=0.3) for row in batch.rows()]


def tool(name: str, **variables: object) -> Any:
    spec = read_spec(name)
    for variable, value in variables.items():
        spec.variables[variable].value = value
    return spec


# By open(2), openat(2) and openat2(2), numbers of x86-64.
OPENS = """
import ctypes
call = ctypes.CDLL(None).syscall
how = (ctypes.c_uint64 * 3)()
for number in range(60):
    path, newer = (f"{sys.argv[1]}/{name}{number}".encode() for name in ("file", "openat2-"))
    for words in (2, path, 0), (257, -100, path, 0), (437, -100, newer, how, 24):
        descriptor = call(*words)
        if descriptor >= 0:
            os.close(descriptor)
"""


def test_opensnoop_sees_what_its_peer_sees_and_openat2(tmp_path):
    def read(line: str) -> tuple[str, int] | None:
        words = line.split(maxsplit=4)
        if len(words) < 5 or not words[4].startswith(f"{tmp_path}/"):
            return None
        return words[4], -int(words[3]) or int(words[2])

    # Every third is not there.
    for number in filter(lambda number: number % 3, range(60)):
        for name in ("file", "openat2-"):
            (tmp_path / f"{name}{number}").touch()
    with (
        workload(OPENS, str(tmp_path)) as opener,
        Run(tool("opensnoop", pid_target=opener.pid)) as run,
        Peer(tmp_path, "opensnoop", "-p", str(opener.pid), begun="PATH") as peer,
    ):
        opener.work()
        ours = [(row.filename, row.ret) for row in rows(run) if row.filename.startswith(f"{tmp_path}/")]
        theirs = peer.events(read, 2 * 60)

    newer = [(name, ret) for name, ret in ours if "openat2" in name]
    assert theirs == [opened for opened in ours if opened not in newer]
    assert len(theirs) == 2 * len(newer) == 2 * 60
    assert [ret for _, ret in ours].count(-2) == 3 * 20


# Short and long ones, one that fails, and one by its descriptor: execveat(2).
EXECUTES = """
def execute(*words):
    child = os.fork()
    if not child:
        try:
            os.execv(words[0], words)
        finally:
            os._exit(1)
    os.waitpid(child, 0)

for number in range(20):
    execute("/bin/true", str(number), "two words")
execute("/bin/true", *map(str, range(30)))
execute("/nowhere/program", "unseen")
child = os.fork()
if not child:
    os.execve(os.open("/bin/true", os.O_RDONLY), ["true", "by descriptor"], {})
os.waitpid(child, 0)
execute("/bin/true", "last")
"""


def test_execsnoop_sees_what_its_peer_sees_and_execveat(tmp_path):
    def read(line: str) -> tuple[int, str] | None:
        words = line.split(maxsplit=4)
        return (int(words[3]), " ".join(words[4].split())) if len(words) > 4 and words[2] == str(parent.pid) else None

    with (
        workload(EXECUTES) as parent,
        Run(tool("execsnoop", failed_too=True)) as run,
        Peer(tmp_path, "execsnoop", "-x", begun="ARGS") as peer,
    ):
        parent.work()
        ours = [(row.ret, row.arguments) for row in rows(run) if row.ppid == parent.pid]
        theirs = peer.events(read, 23)

    short = [(0, f"/bin/true {number} two words") for number in range(20)]
    last = (0, "/bin/true last")
    # Ours shows all arguments, theirs twenty; of what fails, ours shows the file, theirs the arguments, too.
    assert ours == [
        *short,
        (0, f"/bin/true {' '.join(map(str, range(30)))}"),
        (-2, "/nowhere/program"),
        (0, "true by descriptor"),
        last,
    ]
    assert theirs == [
        *short,
        (0, f"/bin/true {' '.join(map(str, range(19)))} ..."),
        (-2, "/nowhere/program unseen"),
        last,
    ]


def test_runqlat_counts_as_many_waits_as_its_peer(tmp_path):
    with (
        workload(turns(500)) as process,
        tool("runqlat", pid_target=process.pid).load() as loaded,
        loaded.attach(),
        Peer(tmp_path, "runqlat", "-p", str(process.pid), begun="Hit Ctrl-C") as peer,
    ):
        process.work()
        theirs = peer.count()
        ours = sum(sum(waits.slots) for waits in loaded.maps["waits"].values())

    assert theirs >= 500
    # Who is pushed off its CPU on its way to sleep waits for it, too: theirs leaves that out.
    assert theirs <= ours <= theirs * 1.1


# Not by way of the page cache: a request, and a flush at the end.
REQUESTS = """
import mmap
disk = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
page = mmap.mmap(-1, 4096)
for number in range(100):
    os.pwrite(disk, page, 4096 * number)
    os.preadv(disk, [page], 4096 * number)
os.fsync(disk)
"""


def test_biolatency_counts_as_many_requests_as_its_peer(tmp_path):
    if not has_disks():
        pytest.skip("this kernel has no loop devices")
    with (
        made_disk(tmp_path / "disk") as disk,
        workload(REQUESTS, disk) as process,
        tool("biolatency", disk_target=find_disk(disk)).load() as loaded,
        loaded.attach(),
        Peer(tmp_path, "biolatency", "-d", os.path.basename(disk), begun="Hit Ctrl-C") as peer,
    ):
        # Others look at a disk that is new.
        before = sum(sum(found.slots) for found in loaded.maps["latencies"].values())
        process.work()
        theirs = peer.count()
        ours = sum(sum(found.slots) for found in loaded.maps["latencies"].values()) - before

    assert ours == theirs >= 200


# The server closes first.
CONNECTS = """
import socket
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    with socket.create_server((address, 8000), family=family) as server:
        for number in range(5):
            with socket.socket(family) as client:
                client.connect((address, 8000))
                server.accept()[0].close()
                client.recv(1)
    with socket.socket(family) as client:
        client.connect_ex((address, 8009))
"""


# include/net/tcp_states.h, from 1 on
STATES = [
    *("ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK"),
    *("LISTEN", "CLOSING"),
]


def ends(row: Any) -> tuple[str, int, str, int]:
    """Of a connection: ours, and the other."""
    size = 4 if row.family == socket.AF_INET else 16
    source, target = (socket.inet_ntop(row.family, bytes(address)[:size]) for address in (row.saddr, row.daddr))
    return source, row.sport, target, row.dport


def test_tcpstates_sees_the_changes_that_its_peer_sees(network, tmp_path):
    def read(line: str) -> tuple[object, ...] | None:
        words = line.split()
        if len(words) < 10 or words[-3] != "->" or {words[-7], words[-5]}.isdisjoint({"8000", "8009"}):
            return None
        return (words[-8], int(words[-7]), words[-6], int(words[-5])), words[-4], words[-2]

    with (
        workload(CONNECTS) as process,
        Run(tool("tcpstates")) as run,
        Peer(tmp_path, "tcpstates", "-w", begun="NEWSTATE") as peer,
    ):
        process.work()
        ours = [
            (ends(row), STATES[row.oldstate - 1], STATES[row.newstate - 1])
            for row in rows(run)
            if not {row.sport, row.dport}.isdisjoint({8000, 8009})
        ]
        theirs = peer.events(read, len(ours))

    # Of each family 5 connections, whose two ends change 5 times each; a server, twice; one that is refused, twice.
    assert len(ours) == 2 * (5 * 10 + 2 + 2)
    assert ours == theirs


@pytest.mark.floors("6.12")
def test_tcpconnlat_sees_the_answers_that_its_peer_sees_but_refusals(network, tmp_path):
    def read(line: str) -> tuple[str, int, str, int] | None:
        words = line.split()
        if len(words) < 8 or words[0] != str(process.pid):
            return None
        return words[3], int(words[4]), words[5], int(words[6])

    with workload(CONNECTS) as process:
        try:
            with (
                Run(tool("tcpconnlat", pid_target=process.pid)) as run,
                Peer(tmp_path, "tcpconnlat", "-L", "-p", str(process.pid), begun="DADDR") as peer,
            ):
                process.work()
                ours = [ends(row) for row in rows(run)]
                theirs = peer.events(read, 12)
        except UnsupportedError as error:
            pytest.skip(str(error))

    assert len(ours) == 10
    assert [each for each in theirs if each[3] != 8009] == ours
    assert [each[3] for each in theirs].count(8009) == 2
