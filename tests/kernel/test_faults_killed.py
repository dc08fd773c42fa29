"""kill -9 of skep, and of what it traces, at any moment: nothing stays attached or running, the next run cleans up.

That no program, no link and no child stays is what the fixture of every test here proves (conftest.py).
"""

from __future__ import annotations

import glob
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skep.kernel.features import tracefs

_numbers = itertools.count()

SOURCE = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
SEC("tp/syscalls/sys_enter_getppid") int hook(void *ctx) { bpf_printk("NUMBER"); return 0; }
char LICENSE[] SEC("license") = "GPL";
"""
# Ends for no signal that can be ignored.
DEAF = "import signal, time; [signal.signal(number, signal.SIG_IGN) for number in (1, 2, 15)]; time.sleep({})"


@pytest.fixture
def seconds() -> str:
    """How long a command is to sleep: so many that nobody else's does."""
    return f"1{os.getpid()}{next(_numbers):03}"


def _alive(word: str) -> list[str]:
    """The processes that have a word among their arguments."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            if any(word.encode() in each for each in Path(path).read_bytes().split(b"\0")):
                found.append(path)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _soon(look: Callable[[], object], wanted: object) -> None:
    """Waits for what takes a killed process, or a compiler that nobody reads from, a moment."""
    end = time.monotonic() + 20
    while (found := look()) != wanted:
        assert time.monotonic() < end, found
        time.sleep(0.01)


def _instances(pids: set[int]) -> list[str]:
    """The trace instances of some processes."""
    names = os.listdir(f"{tracefs()}/instances")
    return [name for name in names if (match := re.match(r"skep-(\d+)-", name)) and int(match[1]) in pids]


def _start(skep: list[str], *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen([*skep, "run", *arguments], stdout=quiet, stderr=quiet, start_new_session=True, **options)


def _attached(skep: list[str], *arguments: str, **options: Any) -> tuple[subprocess.Popen[str], float]:
    """A run that is attached, and the seconds that this took."""
    started = time.monotonic()
    process = subprocess.Popen(
        [*skep, "run", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )
    assert process.stderr is not None
    assert any("attached" in line for line in process.stderr)
    return process, time.monotonic() - started


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    # Not to its end: what it left running would hold it open.
    assert process.stderr is not None
    process.stderr.close()


def test_killed_while_it_starts_and_runs(skep, seconds):
    choose = random.Random(4)
    process, usual = _attached(skep, "hello", "--", "sleep", seconds)
    pids = set()
    for _ in range(30):
        started = _start(skep, "hello", "--", "sleep", seconds)
        time.sleep(choose.random() * usual * 1.5)
        started.kill()
        started.wait()
        pids.add(started.pid)
    _kill(process)
    pids.add(process.pid)
    _soon(lambda: _alive(seconds), [])
    assert _instances(pids)

    _, _ = _attached(skep, "hello", "--pid-filter", "1", "--duration", "1ms")[0].communicate(timeout=60)

    assert _instances(pids) == []


def test_killed_while_it_ends(skep, seconds):
    choose = random.Random(5)
    pids = set()
    for _ in range(10):
        process, _ = _attached(skep, "hello", "--", "sleep", seconds)
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(choose.random() * 0.2)
        _kill(process)
        pids.add(process.pid)
    _soon(lambda: _alive(seconds), [])

    _, _ = _attached(skep, "hello", "--pid-filter", "1", "--duration", "1ms")[0].communicate(timeout=60)

    assert _instances(pids) == []


def test_killed_while_it_compiles(skep, seconds, tmp_path):
    choose = random.Random(6)
    cache = tmp_path / "cache" / "skep"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    source = tmp_path / "killed.bpf.c"
    source.write_text(SOURCE.replace("NUMBER", "first"))
    process, usual = _attached(skep, str(source), "--", "sleep", seconds, env=environment)
    _kill(process)
    pids = {process.pid}
    for number in range(10):
        # Some look for the compiler for the first time, too, which takes the longest.
        if is_first := number < 2:
            shutil.rmtree(cache / "headers", ignore_errors=True)
            shutil.rmtree(cache / "compilers", ignore_errors=True)
        source.write_text(SOURCE.replace("NUMBER", str(number)))
        started = _start(skep, str(source), "--", "sleep", seconds, env=environment)
        time.sleep(choose.random() * (usual if is_first else usual / 4))
        started.kill()
        started.wait()
        pids.add(started.pid)
    _soon(lambda: _alive(seconds), [])
    # What compiled for a killed run has nowhere to write to: it ends by itself, and may take a second.
    _soon(lambda: _alive(str(cache)), [])

    source.write_text(SOURCE.replace("NUMBER", "last"))
    process, _ = _attached(skep, str(source), "--duration", "1ms", env=environment)
    process.communicate(timeout=60)

    assert process.returncode == 0
    assert os.listdir(cache / "scratch") == []
    kept = [path.relative_to(cache) for path in cache.rglob("*") if path.is_file()]
    whole = re.compile(r"headers/[^/]+/vmlinux\.h|compilers/\w+|objects/\w+\.(inputs|bpf\.o)")
    assert [str(path) for path in kept if not whole.fullmatch(str(path))] == []
    assert _instances(pids) == []


def test_a_second_ctrl_c_ends_the_command_too(skep, seconds):
    process, _ = _attached(skep, "opensnoop", "--", sys.executable, "-c", DEAF.format(seconds))
    _soon(lambda: len(_alive(seconds)), 2)
    # Until it is deaf, it hears the first one as anybody does.
    (command,) = _children(process.pid)
    _soon(lambda: _signals(command, "SigIgn") & 0x4003, 0x4003)
    os.kill(process.pid, signal.SIGINT)
    # Until it has been handled, a second one is the same.
    _soon(lambda: _signals(process.pid, "SigCgt") & 0x2, 0)
    os.kill(process.pid, signal.SIGINT)

    assert process.wait(timeout=30) == -signal.SIGINT
    _kill(process)
    _soon(lambda: _alive(seconds), [])


def test_a_command_of_another_user_ends_with_a_killed_skep(skep, seconds):
    environment = {**os.environ, "SUDO_UID": "65534", "SUDO_GID": "65534"}
    process, _ = _attached(skep, "opensnoop", "--", "sleep", seconds, env=environment, cwd="/")
    _soon(lambda: len(_alive(seconds)), 2)
    _kill(process)

    _soon(lambda: _alive(seconds), [])


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _signals(pid: int, which: str) -> int:
    """The signals that a process ignores (SigIgn) or catches (SigCgt), one bit each."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith(which))


def test_the_command_killed_at_any_moment_is_a_normal_end(skep, seconds):
    choose = random.Random(7)
    for _ in range(10):
        process = subprocess.Popen(
            [*skep, "run", "hello", "--", "sleep", seconds],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not (children := _children(process.pid)):
            assert process.poll() is None
        # It waits for skep to attach; then it is the command.
        time.sleep(choose.random() * 0.2)
        os.kill(children[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=60)

        assert process.returncode == 0, errors
        assert "sleep was ended by signal 9" in errors
    assert _instances({process.pid}) == []
