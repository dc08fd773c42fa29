"""Each tool of the gallery: the event it is for is provoked, and asserted to the value; and silence when filtered."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.floors("6.12", "6.1")
# What a filter leaves out is the same on every kernel on which the tool works.
anywhere = pytest.mark.floors()


def test_hello_says_who_writes(run):
    events = run("hello", "--", "sh", "-c", "echo $$ >&2; echo again")

    assert len(events) == 2
    assert {event["message"] for event in events} == {f"write by process {events[0]['tid']}"}
    assert events[0]["comm"] == "sh"


@anywhere
def test_hello_is_silent_about_others(run):
    assert run("hello", "--pid-filter", "1", "--", "sh", "-c", "echo hello") == []


TALK = (
    "import socket; s = socket.socket(); s.connect_ex(('127.0.0.1', 9)); s.connect_ex(('127.0.0.1', 9));"
    "socket.socket(socket.AF_INET6).connect_ex(('::1', 9))"
)


def test_behaviour_shows_calls_with_what_they_were_for(run):
    script = f'test -e /etc/nothing; "{sys.executable}" -S -c "{TALK}"; exit 3'

    events = run("behaviour", "--", "sh", "-c", script)

    shell = [event for event in events if event["pid"] == event["tid"] and event["depth"] == 0]
    child = [event for event in events if event["depth"] == 1]
    assert {event["ppid"] for event in child} == {shell[0]["pid"]}
    assert shell[-1]["syscall_name"] == "exit_group"
    missing = [event for event in shell if event["path"] == "/etc/nothing"]
    assert [event["ret_name"] for event in missing] == ["ENOENT"]
    executed = [event for event in events if event["child"]]
    assert [event["syscall_name"] for event in executed] == ["execve", "execve"]
    assert os.path.samefile(executed[1]["child"], sys.executable)
    assert [event["arguments"] for event in child if event["syscall_name"] == "socket"] == ["2 1", "10 1"]
    peers = [(event["peer"], event["ret"] < 0) for event in child if event["syscall_name"] == "connect"]
    # An address of IPv6 is written out.
    assert peers == [("127.0.0.1:9", True)] * 2 + [(f"[{'0000:' * 7}0001]:9", True)]
    for thread in (shell, child):
        assert [event["ts"] for event in thread] == sorted(event["ts"] for event in thread)
        assert not any(event["lost"] or event["compat"] for event in thread)


@anywhere
def test_behaviour_is_silent_about_others(run):
    assert run("behaviour", "--pid-target", "1", "--", "sh", "-c", "true") == []


def test_opensnoop_shows_a_file_that_is_opened(run, tmp_path):
    path = tmp_path / "opened"
    path.write_text("x")

    events = [event for event in run("opensnoop", "--", "cat", str(path)) if event["filename"] == str(path)]

    assert len(events) == 1
    event = events[0]
    assert event["comm"] == "cat"
    assert event["ret"] >= 3
    assert event["open_flags"] == os.O_RDONLY
    assert event["pid"] == event["tid"]


def test_opensnoop_shows_the_error_of_an_open_that_fails(run, tmp_path):
    path = tmp_path / "missing"

    events = run("opensnoop", "--failed-only", "--", "sh", "-c", f"cat {path} 2>/dev/null; exit 0")

    assert [(event["ret"], event["ret_name"]) for event in events if event["filename"] == str(path)] == [(-2, "ENOENT")]
    assert all(event["ret"] < 0 for event in events)


@anywhere
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--pid-target", "1"], id="another process"),
        pytest.param(["--uid-target", "12345"], id="another user"),
        pytest.param(["--failed-only"], id="failures only"),
        pytest.param(["--name-contains", "nowhere"], id="another name"),
    ],
)
def test_opensnoop_is_silent_when_the_filter_excludes_a_file(run, tmp_path, options):
    path = tmp_path / "opened"
    path.write_text("x")

    assert [
        event for event in run("opensnoop", *options, "--", "cat", str(path)) if str(path) in event["filename"]
    ] == []


@anywhere
def test_opensnoop_finds_a_part_of_a_name(run, tmp_path):
    for name in ("needle-1", "hay", "2-needle"):
        (tmp_path / name).write_text("x")

    events = run("opensnoop", "--name-contains", "needle", "--", "sh", "-c", f"cat {tmp_path}/* >/dev/null")

    assert sorted(os.path.basename(event["filename"]) for event in events) == ["2-needle", "needle-1"]


@anywhere
def test_opensnoop_knows_all_three_system_calls(run, tmp_path):
    path = tmp_path / "opened"
    path.write_text("x")
    # open(2), openat(2) and openat2(2), numbers of x86-64; a struct open_how has three 64-bit members.
    script = (
        "import ctypes, struct; libc = ctypes.CDLL(None);"
        f"path = {os.fsencode(path)!r};"
        "libc.syscall(2, path, 0x80000);"
        "libc.syscall(257, -100, path, 0x80000);"
        "libc.syscall(437, -100, path, struct.pack('QQQ', 0x80000, 0, 0), 24)"
    )

    events = run("opensnoop", "--name-contains", str(path)[-31:], "--", sys.executable, "-c", script)

    assert [(event["ret"] >= 0, event["open_flags"]) for event in events] == [(True, 0x80000)] * 3


def test_execsnoop_shows_a_program_with_all_its_arguments(run):
    arguments = [f"argument-{number}" for number in range(80)]

    events = run("execsnoop", "--", "sh", "-c", f"/bin/true {' '.join(arguments)}; exit 0")

    event = next(event for event in events if event["comm"] == "true")
    assert event["arguments"] == f"/bin/true {' '.join(arguments)}"
    assert event["ret"] == 0
    assert event["uid"] == 0
    assert event["ppid"] == next(event["pid"] for event in events if event["comm"] == "sh")


@anywhere
def test_execsnoop_shows_failures_when_asked(run):
    command = ["--", "sh", "-c", "/nowhere/program 2>/dev/null; exit 0"]

    silent = run("execsnoop", *command)
    shown = run("execsnoop", "--failed-too", *command)

    assert [event["arguments"] for event in silent if event["ret"] < 0] == []
    # skep itself looks for sh in every folder of PATH.
    failed = [(event["arguments"], event["ret_name"]) for event in shown if event["ret"] < 0 and event["comm"] == "sh"]
    assert failed == [("/nowhere/program", "ENOENT")]


@anywhere
def test_execsnoop_is_silent_about_other_users(run):
    assert run("execsnoop", "--uid-target", "12345", "--", "sh", "-c", "/bin/true; exit 0") == []


@pytest.mark.parametrize(
    ("script", "code", "name"),
    [
        pytest.param("exit 3", 3 << 8, "3", id="an exit status"),
        pytest.param("kill -9 $$", 9, "SIGKILL", id="a signal"),
    ],
)
def test_exitsnoop_shows_how_a_process_ended(run, script, code, name):
    events = run("exitsnoop", "--", "sh", "-c", f"sleep 0.05; sh -c '{script}'; :")

    slept, ended, outer = events
    assert slept["comm"] == "sleep"
    assert slept["age_ns"] >= 50_000_000
    assert (ended["exit_code"], ended["exit_code_name"]) == (code, name)
    assert ended["ppid"] == outer["pid"]


@anywhere
def test_exitsnoop_leaves_threads_out(run):
    script = "import threading; [threading.Thread(target=print).start() for _ in range(5)]"

    events = run("exitsnoop", "--", sys.executable, "-c", script)

    assert len(events) == 1


@anywhere
def test_exitsnoop_is_silent_about_others(run):
    assert run("exitsnoop", "--pid-target", "1", "--", "true") == []


def test_sigsnoop_shows_sender_target_and_signal(run):
    script = "sleep 60 & kill -CONT $!; kill -KILL $!; wait $! 2>/dev/null; kill -TERM 4194303 2>/dev/null; echo $!"

    events = run("sigsnoop", "--", "sh", "-c", script)

    assert [(event["signal_name"], event["ret_name"]) for event in events] == [
        ("SIGCONT", None),
        ("SIGKILL", None),
        ("SIGTERM", "ESRCH"),
    ]
    assert {event["comm"] for event in events} == {"sh"}
    assert events[0]["target"] == events[1]["target"] != events[0]["pid"]
    assert events[2]["target"] == 4194303


@anywhere
def test_sigsnoop_knows_all_three_system_calls(run):
    # kill(2), tkill(2) and tgkill(2), numbers of x86-64; signal 0 only asks.
    script = (
        "import ctypes, os; libc = ctypes.CDLL(None); me = os.getpid();"
        "libc.syscall(62, me, 0); libc.syscall(200, me, 0); libc.syscall(234, me, me, 0)"
    )

    events = run("sigsnoop", "--", sys.executable, "-c", script)

    assert [(event["target"], event["signal"], event["ret"]) for event in events] == [(events[0]["pid"], 0, 0)] * 3


@anywhere
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--pid-target", "1"], id="another process"),
        pytest.param(["--signal-target", "SIGHUP"], id="another signal"),
        pytest.param(["--failed-only"], id="failures only"),
    ],
)
def test_sigsnoop_is_silent_when_the_filter_excludes_a_signal(run, options):
    assert run("sigsnoop", *options, "--", "sh", "-c", "kill -0 $$") == []


def test_bootstrap_shows_starts_and_ends(run):
    events = run("bootstrap", "--", "sh", "-c", "sleep 0.1; exit 3")

    assert [(event["what_name"], event["comm"]) for event in events] == [
        ("EXEC", "sh"),
        ("EXEC", "sleep"),
        ("EXIT", "sleep"),
        ("EXIT", "sh"),
    ]
    assert events[1]["filename"].endswith("/sleep")
    assert events[2]["duration_ns"] >= 100_000_000
    assert events[3]["exit_code_name"] == "3"
    assert events[2]["ppid"] == events[3]["pid"]


@anywhere
def test_bootstrap_shows_only_what_lived_long_enough(run):
    events = run("bootstrap", "--min-duration-ns", "900ms", "--", "sh", "-c", "true; sleep 1; /bin/true; exit 3")

    assert [(event["what_name"], event["comm"]) for event in events] == [("EXIT", "sleep"), ("EXIT", "sh")]


def _type_into_bash(lines):
    """A command that types lines into an interactive bash."""
    script = (
        "import pty, os, sys\n"
        "pid, terminal = pty.fork()\n"
        "if not pid: os.execv('/bin/bash', ['bash', '--norc', '--noprofile', '-i'])\n"
        f"os.write(terminal, {lines!r})\n"
        "try:\n"
        "    while os.read(terminal, 1024): pass\n"
        "except OSError: pass\n"
        "os.waitpid(pid, 0)\n"
    )
    return [sys.executable, "-c", script]


def test_bashreadline_shows_what_is_typed(run):
    events = run("bashreadline", "--", *_type_into_bash(b"echo typed\nexit\n"))

    assert [(event["comm"], event["line"]) for event in events] == [("bash", "echo typed"), ("bash", "exit")]


@anywhere
def test_bashreadline_is_silent_about_other_shells(run):
    assert run("bashreadline", "--pid-target", "1", "--", *_type_into_bash(b"exit\n")) == []


@pytest.fixture
def unlinksnoop(run, skep):
    """The events of unlinksnoop; skipped where the kernel has neither of its hooks."""
    finished = subprocess.run(
        [*skep, "run", "unlinksnoop", "-q", "--", "true"], capture_output=True, text=True, timeout=60, check=False
    )
    if finished.returncode == 3:
        pytest.skip(f"unlinksnoop: {finished.stderr.strip()}")
    return lambda *arguments: run("unlinksnoop", *arguments)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="fentry and fexit"),
        pytest.param(["--without", "entered", "--without", "returned"], id="kprobe and kretprobe"),
    ],
)
def test_unlinksnoop_shows_a_file_that_is_removed_once(unlinksnoop, tmp_path, options):
    path = tmp_path / "removed"
    path.write_text("x")

    events = unlinksnoop(*options, "--", "sh", "-c", f"rm {path}; rm -f {path}; exit 0")

    assert [(event["comm"], event["filename"], event["ret"], event["ret_name"]) for event in events] == [
        ("rm", str(path), 0, None),
        ("rm", str(path), -2, "ENOENT"),
    ]


def test_unlinksnoop_is_silent_about_others(unlinksnoop):
    assert unlinksnoop("--pid-target", "1", "--", "rm", "-f", "/nowhere") == []


# Reads of a pipe into which another process writes after a while.
SLOW_READS = "sh -c 'sleep 0.05; echo slow; sleep 0.05; echo slow' | cat"


@pytest.fixture
def vfsreadlat(run, skep):
    """The histograms of vfsreadlat; skipped where the kernel has neither of its hooks."""
    finished = subprocess.run(
        [*skep, "run", "vfsreadlat", "-q", "--", "true"], capture_output=True, text=True, timeout=60, check=False
    )
    if finished.returncode == 3:
        pytest.skip(f"vfsreadlat: {finished.stderr.strip()}")
    return lambda *arguments: run("vfsreadlat", *arguments)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="fentry and fexit"),
        pytest.param(["--without", "entered", "--without", "returned"], id="kprobe and kretprobe"),
    ],
)
def test_vfsreadlat_counts_how_long_reads_took(vfsreadlat, options):
    (found,) = vfsreadlat(*options, "--", "sh", "-c", SLOW_READS)

    # Of at least 32,768 us: the two that waited, and nothing that a busy machine would not explain.
    assert 2 <= sum(found["slots"][15:]) <= 4
    assert sum(found["slots"][:15]) > 2


def test_vfsreadlat_is_silent_about_others(vfsreadlat):
    assert vfsreadlat("--pid-target", "1", "--", "cat", "/dev/null") == []


# Two processes that have to share one CPU: each waits for the other's turn, of some milliseconds, many times, even if
# others take their turns between them.
LOOPS = """
import os, time
end = time.monotonic() + 1
other = os.fork()
while time.monotonic() < end:
    pass
if other:
    os.wait()
"""
SHARED = ["taskset", "-c", "0", sys.executable, "-c", LOOPS]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="tp_btf"),
        pytest.param(["--without", "wakeup", "--without", "wakeup_new", "--without", "change"], id="raw_tp"),
    ],
)
def test_runqslower_shows_who_waited_for_a_cpu_and_for_whom(run, options):
    events = run("runqslower", "--min-us", "500us", *options, "--", *SHARED)

    comm = os.path.basename(sys.executable)
    waits = [event for event in events if event["comm"] == event["previous_comm"] == comm]
    assert len({event["tid"] for event in waits}) == 2
    assert all(event["delay_us"] >= 500 for event in events)
    assert all(event["previous_tid"] != event["tid"] for event in events)
    # Counted once: a thread that waits cannot wait again before it ran.
    assert len({(event["tid"], event["time"]) for event in events}) == len(events)


def test_runqlat_counts_how_long_processes_waited_for_a_cpu(run):
    comm = os.path.basename(sys.executable)
    waits = run("runqlat", "--per-process", "--filter", f"comm == {comm}", "--", *SHARED)

    # The two take turns of a millisecond at least.
    assert sum(sum(entry["slots"][10:]) for entry in waits) >= 2
    assert len({entry["key"] for entry in waits}) == len(waits)


@anywhere
def test_runqlat_is_silent_about_others(run):
    assert run("runqlat", "--pid-target", "1", "--tid-target", "2", "--", "true") == []
    (entry,) = run("runqlat", "--", *SHARED)
    assert (entry["key"], entry["comm"]) == (0, "")
    assert sum(entry["slots"]) > 0


@anywhere
def test_runqslower_is_silent_about_others_and_about_short_waits(run):
    assert run("runqslower", "--min-us", "500us", "--pid-target", "1", "--", *SHARED) == []
    assert run("runqslower", "--min-us", "1h", "--", *SHARED) == []
