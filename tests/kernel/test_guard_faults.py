"""The guard where things go wrong: numbers that come again, storms, clocks that jump, kernels that lack something."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from skep.base.errors import HookMissingError, UnsupportedError
from skep.guard.identity import program_of
from skep.guard.live import watcher
from skep.guard.live.guarding import Guard
from skep.guard.live.learning import record_command
from skep.guard.live.watcher import Subject, Watcher
from skep.guard.profile import learn
from skep.guard.state import Log
from skep.guard.store import save

NONE = np.zeros(0, np.uint64)


class Script:
    """Python's code in a process of its own, which goes on for each line that it is told."""

    def __init__(self, code):
        self._process: Any = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.communicate()

    def go_on(self):
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def says(self):
        return self._process.stdout.readline().strip()


def reported(watcher):
    return [report for batch in watcher.batches(0.3) for report in batch.rows()]


# A process that ends, and another one of its number: clone3(2) takes that of the parent's choice.
AGAIN = """
import ctypes, os
input()
first = os.fork()
if not first:
    input()
    os.execv("/bin/true", ["true"])
print(first, flush=True)
os.waitpid(first, 0)
print("ended", flush=True)
input()
number = ctypes.c_int(first)
arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(number), 1, 0)
second = ctypes.CDLL(None, use_errno=True).syscall(435, arguments, ctypes.sizeof(arguments))
if not second:
    os.execv("/bin/cat", ["cat", "/etc/hostname"])
if second > 0:
    os.waitpid(second, 0)
print(second, flush=True)
input()
"""


def test_a_number_that_comes_again_is_another_process():
    with Script(AGAIN) as script:
        script.go_on()
        first = int(script.says())
        with Watcher([NONE], [(Subject(pid=first), 0)]) as watcher:
            script.go_on()
            assert script.says() == "ended"
            before = reported(watcher)
            script.go_on()
            second = script.says()
            while second and not second.lstrip("-").isdecimal():  # what cat prints
                second = script.says()
            after = reported(watcher)

    if int(second) < 0:
        pytest.skip("another process has taken the number, or nobody may choose it")
    assert int(second) == first
    assert {report.call.pid for report in before} == {first}
    assert after == []


def test_threads_of_one_number_are_told_apart():
    with Script(AGAIN) as script, Watcher([NONE], [(Subject(pid=script.pid), 0)]) as watcher:
        script.go_on()
        first = int(script.says())
        script.go_on()
        assert script.says() == "ended"
        script.go_on()
        second = script.says()
        while second and not second.lstrip("-").isdecimal():
            second = script.says()
        reports = [report for report in reported(watcher) if report.call.tid == first]

    if int(second) < 0:
        pytest.skip("another process has taken the number, or nobody may choose it")
    assert len({report.born for report in reports}) == 2


def test_a_thread_that_executes_another_program_stays_watched():
    code = """
import os, threading, time
input()
threading.Thread(target=os.execv, args=("/bin/cat", ["cat", "/etc/hostname", "/etc/passwd"])).start()
time.sleep(60)
"""
    with Script(code) as script, Watcher([NONE], [(Subject(pid=script.pid), 0)]) as watcher:
        script.go_on()
        assert script.says()
        while script.says():
            pass
        calls = [report.call for report in reported(watcher) if not report.key and report.call.comm == "cat"]

    assert calls[0].child == "/bin/cat"
    assert {"/etc/hostname", "/etc/passwd"} <= {call.path for call in calls}


def test_a_storm_of_processes_and_threads_leaves_nothing():
    code = """
import _thread, os, time
input()
for _ in range(2000):
    child = os.posix_spawn("/bin/true", ["true"], {}) if _ % 20 == 0 else os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
for _ in range(1000):
    _thread.start_new_thread(os.getppid, ())
while len(os.listdir("/proc/self/task")) > 1:
    time.sleep(0.01)
print("done", flush=True)
input()
open("/etc/hostname").close()
print("done", flush=True)
input()
"""
    with Script(code) as script, Watcher([NONE], [(Subject(pid=script.pid), 0)]) as watcher:
        script.go_on()
        assert script.says() == "done"
        reported(watcher)
        (counts,) = watcher.counts()
        assert counts.unwatched == 0
        # Each made one call at least: its end.
        assert counts.calls >= 3000
        script.go_on()
        assert script.says() == "done"
        assert "/etc/hostname" in [report.call.path for report in reported(watcher)]
        # Of all threads that were, the one that is left.
        assert watcher.watched() == 1


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """A shell that reads a file."""
    command = ["sh", "-c", "read line < /etc/hostname"]
    path = str(tmp_path_factory.mktemp("guard") / "shell.profile")
    save(learn(record_command(command, 5, stdout=2), os.uname().machine, program_of("/bin/sh")), path)
    return path


def alarms_of(profile, code, **options):
    """What the guard says of a script, until it has ended."""
    process = subprocess.Popen(["sh", "-c", f"read go; {code}"], stdin=subprocess.PIPE)
    with Guard({profile: [Subject(pid=process.pid)]}, force=True, **options) as guard:
        ended = threading.Thread(target=process.communicate, args=(b"go\n",))
        ended.start()
        found = list(guard.alarms(20, lambda: not ended.is_alive()))
        ended.join()
    return found


def test_a_clock_that_jumps_moves_no_alarm(profile, monkeypatch):
    days = iter(range(1, 1_000_000))
    # The clock of the wall goes on by a day whenever it is looked at, and by one back when a process looks.
    monkeypatch.setattr(time, "time", lambda: next(days) * 86400.0 * (-1) ** next(days))
    (alarm,) = alarms_of(profile, "cat /etc/passwd > /dev/null; sleep 1; cat /etc/group > /dev/null; sleep 0.5")

    monkeypatch.undo()
    kept = Log(profile).alarms()[alarm["alarm"]]
    assert kept["began"] == alarm["began"]
    assert 1 <= kept["lasted"] < 10
    assert {"/etc/passwd", "/etc/group"} <= {one["what"] for one in kept["evidence"]}


def test_what_is_lost_lowers_the_confidence(profile):
    # More files than a burst of reports holds.
    flood = "n=0; while [ $n -lt 3000 ]; do : < /etc/hostname 2> /dev/null$n; n=$((n+1)); done; sleep 0.5"
    alarms = alarms_of(profile, flood)

    assert alarms
    kept = Log(profile).alarms()[alarms[-1]["alarm"]]
    assert kept["reports_lost"] > 0
    assert kept["confidence"] < 1


HOOKS = ("tp_btf/sys_enter", "tp_btf/sched_process_fork", "tp_btf/sched_process_exec", "tp_btf/sched_process_exit")


def changed(tmp_path, monkeypatch, before, after):
    """Lets the watch be made from a kernel file in which something is not as this kernel has it."""
    with open(watcher._SOURCE) as file:
        source = file.read()
    assert before in source
    folder = os.path.dirname(watcher._SOURCE)
    source = source.replace(before, after).replace('"../../tools', f'"{folder}/../../tools')
    (tmp_path / "watch.bpf.c").write_text(source)
    monkeypatch.setattr(watcher, "_SOURCE", str(tmp_path / "watch.bpf.c"))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_kernel_without_a_hook_is_refused(hook, tmp_path, monkeypatch):
    changed(tmp_path, monkeypatch, f'"{hook}"', f'"{hook}_of_later"')

    with pytest.raises(HookMissingError, match=f"this kernel has no {hook[7:]}_of_later"):
        Watcher([NONE], [(Subject(pid=os.getpid()), 0)])


def test_a_kernel_without_task_storage_is_refused(tmp_path, monkeypatch):
    storage = "__uint(type, BPF_MAP_TYPE_TASK_STORAGE);"
    changed(tmp_path, monkeypatch, storage, "__uint(type, 200);\n\t__uint(max_entries, 1);")

    with pytest.raises(UnsupportedError, match="map threads cannot be created: this kernel has no maps of type 200"):
        Watcher([NONE], [(Subject(pid=os.getpid()), 0)])
