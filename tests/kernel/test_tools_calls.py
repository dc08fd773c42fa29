"""Tools on system calls, switches, functions of the kernel: the event that each is for, and silence when filtered."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import skep as api
from tests.turns import turns

PYTHON = [sys.executable, "-S", "-c"]


def test_syncsnoop_shows_every_kind_of_sync(run, tmp_path):
    script = (
        "import ctypes, mmap, os, sys, time; libc = ctypes.CDLL(None)\n"
        "fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); os.truncate(fd, 4096); memory = mmap.mmap(fd, 4096)\n"
        "os.fsync(fd); os.fdatasync(fd); time.sleep(0.02); libc.syncfs(fd); memory.flush()\n"
        "libc.sync_file_range(fd, 0, 0, 2)"
    )

    events = run("syncsnoop", "--", *PYTHON, script, str(tmp_path / "file"))

    names = ["fsync", "fdatasync", "syncfs", "msync", "sync_file_range"]
    assert [(event["syscall_name"], event["count"]) for event in events] == [
        (name, number) for number, name in enumerate(names, 1)
    ]
    assert events[0]["since_ns"] == 0
    assert events[2]["since_ns"] >= 20_000_000
    assert all(after["time"] == before["time"] + after["since_ns"] for before, after in pairwise(events))


def test_syncsnoop_is_silent_about_others(run, tmp_path):
    (tmp_path / "file").touch()

    assert run("syncsnoop", "--pid-target", "1", "--", "sync", str(tmp_path / "file")) == []


# A parent and its child take turns; it is written down who they are.
TURNS = f"""
import sys
{turns(50)}
with open(sys.argv[1], "w") as file:
    print(os.getpid(), child, file=file)
"""


def test_taskswitch_counts_who_took_the_cpu_from_whom(run, tmp_path):
    path = tmp_path / "pids"

    # On one CPU neither goes on before the other lets it.
    entries = run("taskswitch", "--", "taskset", "-c", "0", *PYTHON, TURNS, str(path))

    parent, child = map(int, path.read_text().split())
    switches = {(entry["previous_tid"], entry["next_tid"]): entry["value"] for entry in entries}
    # Others may run in between, but hardly every time.
    assert 20 <= switches[parent, child] <= 110
    assert 20 <= switches[child, parent] <= 110
    comm = os.path.basename(sys.executable)[:15]
    assert {entry["next"] for entry in entries if entry["previous_tid"] == parent and entry["next_tid"] == child} == {
        comm
    }


def test_taskswitch_is_silent_about_others(run):
    assert run("taskswitch", "--pid-target", "4194303", "--", "true") == []


@pytest.mark.parametrize("options", [[], ["--without", "wakeup", "--without", "wakeup_new", "--without", "change"]])
def test_runqlat_counts_the_tasks_of_a_cgroup_alone(run, cgroup, tmp_path, options):
    path = tmp_path / "pids"
    joins = TURNS.replace("for _", f"if not child: open('{cgroup}/cgroup.procs', 'w').write('0')\nfor _", 1)
    command = ["--cgroup", str(cgroup), "--per-process", *options, "--", "taskset", "-c", "0", *PYTHON]

    (entry,) = run("runqlat", *command, joins, str(path))
    outside = run("runqlat", *command, TURNS, str(path))

    # The parent, which is outside, wakes it and is woken by it.
    assert entry["comm"] == os.path.basename(sys.executable)[:15]
    assert entry["key"] != int(path.read_text().split()[0])
    assert sum(entry["slots"]) >= 40
    assert outside == []


THREADS = """
import os, sys, threading, time
numbers = []
def sleep():
    numbers.append(threading.get_native_id())
    time.sleep(0.01)
threads = [threading.Thread(target=sleep) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
with open(sys.argv[1], "w") as file:
    print(os.getpid(), *numbers, int(os.readlink("/proc/self/ns/pid")[5:-1]), file=file)
"""


def test_runqlat_counts_by_thread_process_and_pid_namespace_in_two_units(run, tmp_path):
    path = tmp_path / "numbers"

    def counted(*options):
        """What was counted of whom; and the numbers of a process, of its threads, and of its namespace."""
        entries = run("runqlat", *options, "--", "unshare", "--pid", "--fork", *PYTHON, THREADS, str(path))
        return {entry["key"]: entry for entry in entries}, [int(word) for word in path.read_text().split()]

    threads, (_, *_, namespace) = counted("--per-thread")
    processes, _ = counted("--per-process")
    namespaces, (*_, namespace) = counted("--per-pidns")
    milliseconds, _ = counted("--milliseconds")

    # The command, the process in its namespace, and three threads; each has waited before it first ran.
    assert len(threads) == len(processes) + 3
    assert len(processes) == 2
    assert {entry["comm"] for entry in processes.values()} >= {os.path.basename(sys.executable)[:15]}
    outer = int(os.readlink("/proc/self/ns/pid")[5:-1])
    assert set(namespaces) == {outer, namespace}
    assert [entry["_event"] for entry in milliseconds.values()] == ["waits_ms"]
    assert sum(milliseconds[0]["slots"]) >= 4


@pytest.mark.floors("6.12")
def test_urandomread_shows_who_reads_and_how_much(skep, run):
    script = "import os; fd = os.open('/dev/urandom', os.O_RDONLY); os.read(fd, 33); os.read(fd, 7)"
    finished = subprocess.run([*skep, "run", "urandomread", "--", "true"], capture_output=True, text=True, check=False)
    if finished.returncode == 3:
        pytest.skip(f"urandomread: {finished.stderr.strip()}")

    events = run("urandomread", "--", *PYTHON, script)
    by_kretprobe = run("urandomread", "--with", "probed", "--without", "returned", "--", *PYTHON, script)

    comm = os.path.basename(sys.executable)[:15]
    assert [(event["comm"], event["ret"]) for event in events] == [(comm, 33), (comm, 7)]
    assert [event["ret"] for event in by_kretprobe] == [33, 7]
    assert run("urandomread", "--pid-target", "1", "--", *PYTHON, script) == []


def test_syscalls_shows_a_call_with_arguments_result_and_time(run):
    script = "import os, time; os.dup2(0, 77); time.sleep(0.05)"

    duplicated, slept = run("syscalls", "--names", "dup2,dup3,clock_nanosleep", "--", *PYTHON, script)

    assert duplicated["syscall_name"] in {"dup2", "dup3"}
    assert (duplicated["args"][:2], duplicated["ret"], duplicated["ret_name"]) == ([0, 77], 77, None)
    assert duplicated["comm"] == os.path.basename(sys.executable)[:15]
    assert (slept["syscall_name"], slept["ret"]) == ("clock_nanosleep", 0)
    assert 50_000_000 <= slept["duration_ns"] < 10_000_000_000


def test_syscalls_shows_failures_alone_and_calls_that_do_not_return(run):
    failed = run("syscalls", "--failed-only", "--names", "openat,chdir", "--", "sh", "-c", "cd /; cd /nowhere; exit 0")
    ended = run("syscalls", "--names", "exit_group", "--", "sh", "-c", "exit 3")

    assert [(event["syscall_name"], event["ret_name"]) for event in failed] == [("chdir", "ENOENT")]
    assert [(event["comm"], event["args"][0], event["ret"]) for event in ended] == [("sh", 3, 0)]


def test_syscalls_counts_them(run):
    script = "import os; [os.getppid() for _ in range(20)]; [os.access('/nowhere', 0) for _ in range(5)]"

    counts = {
        entry["syscall_name"]: entry
        for entry in run("syscalls", "--counts-only", "--comm-target", "skep-counted", "--", *PYTHON, RENAMED + script)
    }

    assert (counts["getppid"]["calls"], counts["getppid"]["failed"]) == (20, 0)
    assert (counts["access"]["calls"], counts["access"]["failed"]) == (5, 5)
    assert counts["access"]["total_ns"] > 0


RENAMED = "open('/proc/self/comm', 'w').write('skep-counted');"


def test_syscalls_tells_32_bit_callers_apart(run):
    # getpid(2) through int 0x80, whose number is that of writev(2) elsewhere: push rbx; mov eax, 20; int 0x80; pop rbx.
    script = (
        "import ctypes, mmap, os; code = mmap.mmap(-1, 4096, prot=7)\n"
        "code.write(bytes.fromhex('53b814000000cd805bc3')); os.getpid()\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()"
    )

    events = run("syscalls", "--filter", "syscall == getpid", "--", sys.executable, "-c", script)
    counts = run("syscalls", "--counts-only", "--filter", "syscall == getpid", "--", sys.executable, "-c", script)

    assert [(event["syscall"], event["compat"], event["ret"]) for event in events] == [
        (39, 0, events[0]["pid"]),
        (20, 1, events[0]["pid"]),
    ]
    assert sorted((count["compat"], count["calls"]) for count in counts) == [(0, 1), (1, 1)]


@pytest.mark.parametrize(
    "options", [["--pid-target", "1"], ["--comm-target", "nobody"], ["--names", "reboot"], ["--failed-only"]]
)
def test_syscalls_is_silent_when_the_filter_excludes_a_call(run, options):
    names = [] if "--names" in options else ["--names", "getppid"]

    assert run("syscalls", *names, *options, "--", *PYTHON, "import os; os.getppid()") == []


def test_syscalls_keeps_to_a_cgroup(run, cgroup):
    here = run("syscalls", "--names", "getppid", "--cgroup", str(cgroup), "--", *PYTHON, "import os; os.getppid()")
    script = f"import os; open('{cgroup}/cgroup.procs', 'w').write('0'); os.getppid()"
    inside = run("syscalls", "--names", "getppid", "--cgroup", str(cgroup), "--", *PYTHON, script)

    assert here == []
    assert [event["syscall_name"] for event in inside] == ["getppid"]


# A program of 32 bits that ends at once: mov eax, 1; xor ebx, ebx; int 0x80.
CODE = bytes.fromhex("b80100000031dbcd80")
HEAD = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, 3, 1, 0x8048054, 52, 0, 0, 52, 32, 1, 0, 0, 0)
SMALL = HEAD + struct.pack("<8I", 1, 0, 0x8048000, 0x8048000, 84 + len(CODE), 84 + len(CODE), 5, 4096) + CODE


def test_execsnoop_shows_a_program_of_32_bits(run, tmp_path):
    path = tmp_path / "small"
    path.write_bytes(SMALL)
    path.chmod(0o755)

    for options in ([], ["--failed-too"]):
        events = run("execsnoop", *options, "--", "sh", "-c", f"{path} one; exit 0")
        assert [event["arguments"] for event in events if event["comm"] == "small"] == [f"{path} one"]


# A function of a library is called here, and one of the kernel where there are kprobes.
COUNTED = [
    pytest.param("uprobe/libc:getppid", [*PYTHON, "import os; [os.getppid() for _ in range(3)]"], id="a uprobe"),
    pytest.param(
        "kprobe/bprm_execve",
        ["/bin/sh", "-c", "/bin/true; /bin/true; exit 0"],
        id="a kprobe",
        marks=pytest.mark.floors("6.12"),
    ),
]


@pytest.mark.parametrize(("hook", "command"), COUNTED)
def test_callcounts_count_calls(skep, run, bpffs, hook, command):
    def counted(tool, *options):
        # Each second what came in it.
        return sum(entry["calls"] for entry in run(tool, "--attach", f"count={hook}", *options, "--", *command))

    tried = [*skep, "run", "callcount", "--attach", f"count={hook}", "--", "true"]
    finished = subprocess.run(tried, capture_output=True, text=True, check=False)
    if finished.returncode == 3:
        pytest.skip(f"callcount: {finished.stderr.strip()}")

    assert counted("callcount") == 3
    assert counted("callcount-percpu") == 3
    assert counted("callcount-pinned", "--pin-root", str(bpffs)) == 3
    # The map is still there, and is gone on with.
    assert counted("callcount-pinned", "--pin-root", str(bpffs)) == 6
    (bpffs / "callcount").unlink()
    assert counted("callcount-pinned", "--pin-root", str(bpffs)) == 3


@pytest.mark.parametrize("tool", ["callcount", "callcount-percpu"])
def test_callcounts_count_by_the_second(run, tool):
    twice = "import os, time; [os.getppid() for _ in range(5)]; time.sleep(2.2); [os.getppid() for _ in range(2)]"
    entries = run(tool, "--attach", "count=uprobe/libc:getppid", "--", *PYTHON, twice)

    assert len(entries) > 1
    assert sum(entry["calls"] for entry in entries) == 7


def test_callcounts_count_nothing_of_others(run, bpffs):
    elsewhere = ["--attach", "count=uprobe/libc:setpriority", "--", "true"]

    assert run("callcount", *elsewhere) == []
    assert run("callcount-percpu", *elsewhere) == []
    assert run("callcount-pinned", "--pin-root", str(bpffs), *elsewhere) == []


def test_tailcalls_leads_each_call_to_its_program(run, tmp_path):
    path = tmp_path / "opened"
    script = f"import os; fd = os.open('{path}', os.O_CREAT | os.O_WRONLY); os.write(fd, b'seven b'); os.getppid()"

    events = run("tailcalls", "--fill", "handlers=110:seen", "--", *PYTHON, script)

    told = [(event["syscall_name"], event["text"]) for event in events]
    assert told[-3:] == [("openat", str(path)), ("write", "7 bytes to 3"), ("getppid", "")]
    assert {name for name, _ in told} == {"openat", "write", "getppid"}


def test_tailcalls_takes_programs_from_python():
    spec = api.compile("tailcalls")
    spec.variables["pid_target"].value = os.getpid()
    with spec.load() as loaded:
        handlers = loaded.maps["handlers"]
        del handlers[1], handlers[257]
        handlers[110] = loaded.programs["seen"]
        with loaded.attach(), loaded.events(timeout=5) as events:
            os.getppid()
            Path("/").stat()
            event = next(iter(events))
        assert (event.pid, event.syscall) == (os.getpid(), 110)


def test_tailcalls_is_silent_about_others(run):
    assert run("tailcalls", "--pid-target", "1", "--", "ls", "/") == []
