"""Each tool of the gallery: the event it is for is provoked, and asserted to the value; and silence when filtered."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.floors("6.12", "6.1")


@pytest.fixture
def run(skep):
    """run(*arguments): runs `skep run ... -o json`, and gives its events."""

    def events(*arguments):
        finished = subprocess.run(
            [*skep, "run", *arguments[:1], "-o", "json", *arguments[1:]],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return [json.loads(line) for line in finished.stdout.splitlines()]

    return events


def test_hello_says_who_writes(run):
    events = run("hello", "--", "sh", "-c", "echo $$ >&2; echo again")

    assert len(events) == 2
    assert {event["message"] for event in events} == {f"write by process {events[0]['tid']}"}
    assert events[0]["comm"] == "sh"


def test_hello_is_silent_about_others(run):
    assert run("hello", "--pid-filter", "1", "--", "sh", "-c", "echo hello") == []


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


def test_opensnoop_finds_a_part_of_a_name(run, tmp_path):
    for name in ("needle-1", "hay", "2-needle"):
        (tmp_path / name).write_text("x")

    events = run("opensnoop", "--name-contains", "needle", "--", "sh", "-c", f"cat {tmp_path}/* >/dev/null")

    assert sorted(os.path.basename(event["filename"]) for event in events) == ["2-needle", "needle-1"]


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


def test_execsnoop_shows_failures_when_asked(run):
    command = ["--", "sh", "-c", "/nowhere/program 2>/dev/null; exit 0"]

    silent = run("execsnoop", *command)
    shown = run("execsnoop", "--failed-too", *command)

    assert [event["arguments"] for event in silent if event["ret"] < 0] == []
    # skep itself looks for sh in every folder of PATH.
    failed = [(event["arguments"], event["ret_name"]) for event in shown if event["ret"] < 0 and event["comm"] == "sh"]
    assert failed == [("/nowhere/program", "ENOENT")]


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


def test_exitsnoop_leaves_threads_out(run):
    script = "import threading; [threading.Thread(target=print).start() for _ in range(5)]"

    events = run("exitsnoop", "--", sys.executable, "-c", script)

    assert len(events) == 1


def test_exitsnoop_is_silent_about_others(run):
    assert run("exitsnoop", "--pid-target", "1", "--", "true") == []
