"""The guard where things go wrong: numbers that come again, storms, clocks that jump, kernels that lack something."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skep.base.errors import HookMissingError, UnsupportedError, UsageError
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


def changed(tmp_path, monkeypatch, before, after):
    """Lets the watch be made from kernel files in which something is not as it is."""
    folder = Path(watcher._SOURCE).parent
    files = {name: (folder / name).read_text() for name in ("watch.bpf.c", "threads.h")}
    assert before in "".join(files.values())
    for name, text in files.items():
        (tmp_path / name).write_text(text.replace(before, after).replace('"../../tools', f'"{folder}/../../tools'))
    monkeypatch.setattr(watcher, "_SOURCE", str(tmp_path / "watch.bpf.c"))


@pytest.fixture(params=["65536", "1"])
def places(request, tmp_path, monkeypatch):
    """Where threads are kept: each at its own place; or all but one in the storages of their tasks."""
    if request.param != "65536":
        changed(tmp_path, monkeypatch, "#define PLACES 65536", f"#define PLACES {request.param}")


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


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


@pytest.mark.usefixtures("places")
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


@pytest.mark.usefixtures("places")
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
        wait_until(lambda: not watcher.watched())

    assert calls[0].child == "/bin/cat"
    assert {"/etc/hostname", "/etc/passwd"} <= {call.path for call in calls}


@pytest.mark.floors("6.12", "6.1")
def test_a_thread_that_fails_to_execute_when_it_is_too_late_leaves_nothing(tmp_path):
    # By the time that the kernel finds no room for it, the thread has the number of its process.
    header = struct.pack("<16s2HI3QI6H", b"\x7fELF\2\1\1", 2, 62, 1, 1 << 22, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<2I6Q", 1, 5, 0, 1 << 22, 1 << 22, 256, 1 << 50, 4096)
    program = tmp_path / "large"
    program.write_bytes(header + segment + bytes(256))
    program.chmod(0o755)
    code = f"""
import os, threading, time
input()
threading.Thread(target=os.execv, args=("{program}", ["large"])).start()
time.sleep(60)
"""
    with Script(code) as script, Watcher([NONE], [(Subject(pid=script.pid), 0)]) as watcher:
        script.go_on()
        assert script.says() == ""
        wait_until(lambda: not watcher.watched())
        (counts,) = watcher.counts()
        # Its calls are counted when it ends.
        assert counts.calls > 0
        assert watcher._object is not None
        assert not watcher._object.variables["hints"].to_array().any()


def test_a_thread_that_executes_who_is_watched_leaves_no_debt(tmp_path):
    # Nobody watches the thread before: there is nothing to take back of its number.
    program = shutil.copy("/bin/sleep", tmp_path / "copied")
    code = f"""
import os, threading, time
input()
threading.Thread(target=os.execv, args=("{program}", ["sleep", "60"])).start()
time.sleep(60)
"""
    with Script(code) as script, Watcher([NONE], [(Subject(exe=program), 0)]) as watcher:
        script.go_on()
        wait_until(lambda: watcher.watched() == 1)


def test_who_watches_does_not_watch_itself(cgroup):
    code = f"""
import os, subprocess
import numpy as np
from skep.guard.live.watcher import Subject, Watcher
with open("{cgroup}/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
subject = Subject(cgroup="{cgroup}")
with subprocess.Popen(["sleep", "60"]) as other, Watcher([np.zeros(0, np.uint64)], [(subject, 0)]) as watcher:
    print(watcher.watched(), flush=True)
    other.kill()
"""
    with Script(code) as script:
        assert script.says() == "1"
        # It ends what it has started.
        assert script.says() == ""


def test_a_path_is_followed_to_what_lies_there_now(tmp_path, cgroup):
    program = shutil.copy("/bin/cat", tmp_path / "copied")
    subjects = [(Subject(exe=program), 0), (Subject(cgroup=str(cgroup)), 0)]

    def opened(by_name, in_cgroup):
        subprocess.run([program, by_name], check=True, capture_output=True)
        script = f"echo $$ > {cgroup}/cgroup.procs; exec cat {in_cgroup}"
        subprocess.run(["sh", "-c", script], check=True, capture_output=True)
        return {report.call.path for report in reported(watcher)} & {by_name, in_cgroup}

    with Watcher([NONE], subjects) as watcher:
        assert opened("/etc/hostname", "/etc/passwd") == {"/etc/hostname", "/etc/passwd"}
        # An upgrade, and what a service manager does when it starts a service again.
        os.unlink(program)
        wait_until(lambda: "populated 0" in (cgroup / "cgroup.events").read_text())
        os.rmdir(cgroup)
        watcher.follow()
        shutil.copy("/bin/cat", program)
        os.mkdir(cgroup)
        with subprocess.Popen([program], stdin=subprocess.PIPE) as process:
            watcher.follow()
            # Who runs by then is found, and who starts.
            assert watcher.watched() == 1
            process.communicate(b"")
        assert opened("/etc/group", "/etc/shells") == {"/etc/group", "/etc/shells"}


@pytest.mark.usefixtures("places")
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
        # Walks over all tasks meet those that begin and end.
        for _ in range(100):
            watcher.watched()
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


def test_an_alarm_that_cannot_be_kept_is_told(profile):
    log = Path(Log(profile).path)
    log.unlink(missing_ok=True)
    process = subprocess.Popen(["sh", "-c", "read go; cat /etc/passwd > /dev/null; sleep 1"], stdin=subprocess.PIPE)
    with Guard({profile: [Subject(pid=process.pid)]}, force=True) as guard:
        log.mkdir()
        ended = threading.Thread(target=process.communicate, args=(b"go\n",))
        ended.start()
        (alarm,) = guard.alarms(20, lambda: not ended.is_alive())
        ended.join()
    log.rmdir()

    assert alarm["alarm"] == "shell-1"
    assert alarm["unkept"] == "Is a directory"


def test_one_subject_has_one_profile(profile, tmp_path):
    other = str(shutil.copy(profile, tmp_path / "other.profile"))

    with pytest.raises(UsageError, match=f"{profile} and {other} are both to watch /bin/sh"):
        Guard({profile: [Subject(exe="/bin/sh")], other: [Subject(exe="/bin/sh")]})


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
    alarms = alarms_of(profile, f"{flood}; sleep 1; cat /etc/passwd > /dev/null; sleep 0.5", quiet=0.5)

    *flooded, last = (Log(profile).alarms()[alarm["alarm"]] for alarm in alarms)
    assert flooded[-1]["reports_lost"] > 0
    assert flooded[-1]["confidence"] < 1
    # What was missing then is not missing from what comes later.
    assert "/etc/passwd" in [one["what"] for one in last["evidence"]]
    assert last["reports_lost"] < flooded[-1]["reports_lost"]


HOOKS = ("tp_btf/sys_enter", "tp_btf/sched_process_fork", "tp_btf/sched_process_exec", "tp_btf/sched_process_exit")


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
