"""What the kernel reports of watched processes: what was never learned, once; and of nobody else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from skep.base.abi.syscalls import syscalls
from skep.guard.behaviour import call_name, encode
from skep.guard.grams import calls_of
from skep.guard.live.watcher import Subject, Watcher

MACHINE = os.uname().machine
NONE = np.zeros(0, np.uint64)


class Shell:
    """A shell that says when it has done what it was told."""

    def __init__(self):
        self._process: Any = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid

    def __call__(self, line):
        self._process.stdin.write(f"{line}\necho done\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def end(self):
        self._process.communicate()


@pytest.fixture
def shell():
    """A shell of the test's own."""
    process = Shell()
    yield process
    process.end()


def told(watcher):
    """The texts that were reported, and the sequences as names of calls."""
    reports = [report for batch in watcher.batches(0.3) for report in batch.rows()]
    texts = [report for report in reports if not report.key]
    sequences = [[call_name(code, MACHINE) for code in calls_of(report.key)] for report in reports if report.key]
    return texts, sequences


@pytest.mark.floors("6.12", "6.1")
def test_what_a_process_and_its_children_do_is_told_once(shell, tmp_path):
    with Watcher([NONE], [(Subject(pid=shell.pid), 0)]) as watcher:
        shell(f"cat /etc/hostname > {tmp_path}/out; cat /etc/hostname > {tmp_path}/out")
        texts, sequences = told(watcher)
        (counts,) = watcher.counts()

    paths = [report.call.path for report in texts]
    assert paths.count("/etc/hostname") == 1
    assert paths.count(f"{tmp_path}/out") == 1
    assert sum(report.call.child.endswith("/cat") for report in texts) == 1
    # A child's first calls are judged, its parent's only once seven were seen.
    assert any(names[-1] == "execve" for names in sequences)
    assert len(sequences) == counts.unseen
    assert counts.untold == (0, 0)


def test_what_was_learned_is_not_told_and_others_are_not_watched(shell):
    with Watcher([NONE], [(Subject(pid=shell.pid), 0)]) as watcher:
        for _ in range(8):
            shell("true")
        keys = [report.key for batch in watcher.batches(0.3) for report in batch.rows() if report.key]
    known = np.unique(keys).astype(np.uint64)
    assert len(known)

    with Watcher([NONE, known], [(Subject(pid=shell.pid), 1)]) as watcher:
        for _ in range(8):
            shell("true")
        subprocess.run(["cat", "/etc/hostname"], check=True, capture_output=True)
        assert told(watcher) == ([], [])
        assert [counts.unseen for counts in watcher.counts()] == [0, 0]
        shell("umask 77")
        texts, sequences = told(watcher)
    assert texts == []
    assert any(names[-1] == "umask" for names in sequences)


# Paths that end where memory does: of those the kernel copies the last bytes one by one, and none that follow.
OPENS = """
import ctypes, mmap, os
input()
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
libc = ctypes.CDLL(None)
memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
end = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + mmap.PAGESIZE
libc.mprotect(ctypes.c_void_p(end), mmap.PAGESIZE, 0)
for letter in "abc":
    for name in (letter * 200, *("x" * length for length in range(1, 20))):
        for flags in (os.O_RDONLY, os.O_DIRECTORY):
            for path, how in ((letter * 200, os.O_PATH), (name, flags)):
                text = b"/nowhere/" + path.encode() + b"\\0"
                ctypes.memmove(end - len(text), text, len(text))
                libc.open(ctypes.c_void_p(end - len(text)), how)
"""


def test_a_path_is_told_once_whatever_was_told_before_it():
    with (
        subprocess.Popen([sys.executable, "-c", OPENS], stdin=subprocess.PIPE) as process,
        Watcher([NONE], [(Subject(pid=process.pid), 0)]) as watcher,
    ):
        process.communicate(b"\n")
        texts, _ = told(watcher)
    paths = [report.call.path.removeprefix("/nowhere/") for report in texts if "/nowhere/" in report.call.path]
    short = ["x" * length for length in range(1, 20)]
    assert sorted(paths) == sorted([letter * 200 for letter in "aaabbbccc"] + 2 * short)


def test_who_runs_an_executable_is_watched_from_its_start(tmp_path):
    program = shutil.copy("/bin/cat", tmp_path / "copied")
    with Watcher([NONE], [(Subject(exe=program), 0)]) as watcher:
        subprocess.run([program, "/etc/hostname"], check=True, capture_output=True)
        subprocess.run(["cat", "/etc/passwd"], check=True, capture_output=True)
        texts, sequences = told(watcher)

    assert {report.call.comm for report in texts} == {"copied"}
    assert "/etc/hostname" in [report.call.path for report in texts]
    assert ["execve", "brk"] in sequences


def test_who_is_in_a_cgroup_is_watched(cgroup):
    script = f"echo $$ > {cgroup}/cgroup.procs; exec cat /etc/hostname"
    with Watcher([NONE], [(Subject(cgroup=str(cgroup)), 0)]) as watcher:
        subprocess.run(["sh", "-c", script], check=True, capture_output=True)
        texts, _ = told(watcher)

    assert "/etc/hostname" in [report.call.path for report in texts]


@pytest.fixture
def cgroup():
    """A cgroup of our own."""
    with open("/proc/self/mounts") as file:
        root = next(line.split()[1] for line in file if line.split()[2] == "cgroup2")
    folder = f"{root}/skep-test-{os.getpid()}"
    os.mkdir(folder)
    yield folder
    deadline = time.monotonic() + 5
    while True:
        try:
            os.rmdir(folder)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        else:
            return


def test_a_flood_is_told_in_part_and_counted_whole():
    # Threads and processes that live for a moment, and more new sequences than a burst holds.
    script = """
import os, threading
input()
numbers = [39, 102, 104, 107, 108, 110, 186, 111]
import ctypes, random
call = ctypes.CDLL(None).syscall
for n in range(4000):
    call(random.choice(numbers))
for n in range(50):
    threading.Thread(target=os.getppid).start()
for n in range(50):
    if not os.fork():
        os._exit(0)
    os.wait()
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
    with Watcher([NONE], [(Subject(pid=process.pid), 0)]) as watcher:
        process.communicate(b"\n")
        _, sequences = told(watcher)
        (counts,) = watcher.counts()

    assert process.returncode == 0
    assert counts.untold[0] > 0
    assert len(sequences) + counts.untold[0] == counts.unseen
    assert counts.unwatched == 0
    assert counts.calls >= counts.unseen > 4000


def test_what_was_held_back_is_told_when_it_comes_again(shell):
    # More files than a burst of reports holds; each stands for what a flood is to hide.
    files = "n=0; while [ $n -lt 3000 ]; do true 2> /dev/null < /nowhere/$n; n=$((n+1)); done"
    with Watcher([NONE], [(Subject(pid=shell.pid), 0)]) as watcher:
        shell(f"({files})")
        first = {report.call.path for report in told(watcher)[0]}
        (counts,) = watcher.counts()
        held = [f"/nowhere/{n}" for n in range(3000) if f"/nowhere/{n}" not in first]
        assert len(held) == counts.untold[1] > 0
        # No more than may be sent while nobody looks.
        again = held[:20]
        shell("(" + "; ".join(f"true < {path}" for path in again) + ") 2> /dev/null")
        assert [report.call.path for report in told(watcher)[0] if report.call.path in again] == again
        # What was told is not told again.
        shell("(" + "; ".join(f"true < {path}" for path in again) + ") 2> /dev/null")
        assert not [report for report in told(watcher)[0] if report.call.path in again]


# Sends to nobody, by every call that takes an address; of the last one the address was never read before.
SENDS = r"""
import ctypes, mmap, os, socket
libc = ctypes.CDLL(None)
class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("length", ctypes.c_size_t)]
class Message(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("size", ctypes.c_uint), ("parts", ctypes.POINTER(Part)),
                ("count", ctypes.c_size_t), ("rest", ctypes.c_ulong * 4)]
input()
out = socket.socket(type=socket.SOCK_DGRAM)
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
def address(port):
    return socket.AF_INET.to_bytes(2, "little") + port.to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
out.sendto(b"x", ("127.0.0.1", 4001))
out.sendmsg([b"x"], [], 0, ("127.0.0.1", 4002))
six.sendmsg([b"x"], [], 0, ("::1", 4003))
name = ctypes.create_string_buffer(address(4004))
libc.sendmmsg(out.fileno(), ctypes.byref(Message(ctypes.addressof(name), 16, ctypes.pointer(Part(b"x", 1)), 1)), 1, 0)
with open("name", "wb") as file:
    file.write(address(4005))
with open("name", "rb") as file:
    memory = mmap.mmap(file.fileno(), 16, mmap.MAP_PRIVATE)
    where = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc.sendmsg(out.fileno(), ctypes.byref(Message(where, 16, ctypes.pointer(Part(b"x", 1)), 1)), 0)
one, other = socket.socketpair()
one.sendmsg([b"x"])
"""


def test_peers_are_told_by_every_call_that_sends(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", SENDS], stdin=subprocess.PIPE, cwd=tmp_path)
    with Watcher([NONE], [(Subject(pid=process.pid), 0)]) as watcher:
        process.communicate(b"\n")
        texts, _ = told(watcher)

    assert process.returncode == 0
    calls = [report.call for report in texts if report.call.peer]
    assert [(call_name(encode(call.syscall), MACHINE), call.peer) for call in calls] == [
        ("sendto", "127.0.0.1:4001"),
        ("sendmsg", "127.0.0.1:4002"),
        ("sendmsg", "[0000:0000:0000:0000:0000:0000:0000:0001]:4003"),
        ("sendmmsg", "127.0.0.1:4004"),
        ("sendmsg", "127.0.0.1:4005"),
    ]


def test_calls_of_a_32_bit_program_go_by_their_names():
    # A 64-bit program may call as a 32-bit one does: int 0x80 with i386's number of getppid (64; on x86-64 semget).
    script = r"""
import ctypes, mmap, os
input()
for n in range(8):
    os.getuid()
code = b"\xb8\x40\x00\x00\x00\xcd\x80\xc3"
memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
memory.write(code)
ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))()
"""
    if MACHINE != "x86_64":
        pytest.skip("only x86-64 has them")
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
    with Watcher([NONE], [(Subject(pid=process.pid), 0)]) as watcher:
        process.communicate(b"\n")
        texts, sequences = told(watcher)

    if process.returncode:
        pytest.skip("this kernel serves no 32-bit calls")
    last = [names[-1] for names in sequences]
    assert "getppid" in last
    assert "semget" not in last
    assert [report.call.arguments for report in texts if report.call.syscall == 9 and "7" in report.call.arguments]
    assert syscalls("x86_64")[64] == "semget"
