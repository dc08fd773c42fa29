"""Work in a process of its own: what it returns, what it raises, and how it may end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from skep.base.errors import CompileError, Diagnostic, SkepError
from skep.spec.apart import apart

PARENT = os.getpid()
SIGNALLED = """
import functools, os, signal, time
from skep.base.errors import SkepError
from skep.spec.apart import apart

os.register_at_fork(after_in_child=functools.partial(signal.setitimer, signal.ITIMER_REAL, 1e-6))
signal.signal(signal.SIGALRM, signal.default_int_handler)
for _ in range(20):
    try:
        apart(lambda: time.sleep(60), lambda number: SkepError(f"ended by {number}"))
    except BaseException as error:
        print(error, flush=True)
"""


def crash(number: int) -> SkepError:
    return SkepError(f"ended by {number}")


def test_what_it_returns_comes_back():
    assert apart(lambda: {"a": [1, "é\udcff"], "process": os.getpid() == PARENT}, crash) == {
        "a": [1, "é\udcff"],
        "process": False,
    }


def test_what_it_raises_comes_back_with_its_place():
    def work():
        place = Diagnostic("annotation", "error", "no", file="a.c", line=3, column=7, suggestion="yes")
        raise CompileError("a.c:3:7: no", remedy="yes", diagnostics=[place])

    with pytest.raises(CompileError, match=r"^a\.c:3:7: no$") as raised:
        apart(work, crash)

    assert raised.value.remedy == "yes"
    assert raised.value.diagnostic is not None
    assert str(raised.value.diagnostic) == "a.c:3:7: no"


def test_the_signal_that_ends_it_is_told():
    with pytest.raises(SkepError, match=r"^ended by 9$"):
        apart(lambda: os.kill(os.getpid(), signal.SIGKILL), crash)


def test_ctrl_c_ends_it_at_once():
    with pytest.raises(SkepError, match=r"^ended by 2$"):
        apart(lambda: os.kill(os.getpid(), signal.SIGINT), crash)


def test_a_handler_of_ours_does_not_run_in_it():
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with pytest.raises(SkepError, match=r"^ended by 15$"):
            apart(lambda: os.kill(os.getpid(), signal.SIGTERM), crash)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_what_is_blocked_stays_as_it_was():
    def blocked() -> list[int]:
        return sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        assert apart(blocked, crash) == blocked()
        assert signal.SIGINT not in blocked()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_signal_of_the_first_moment_is_no_error_in_it():
    """Sent by what runs in each child before all else, and caught where it would unwind the stack of the parent."""
    finished = subprocess.run(
        [sys.executable, "-c", SIGNALLED], capture_output=True, text=True, check=False, timeout=60
    )

    assert (finished.stdout, finished.stderr) == ("ended by 14\n" * 20, "")


def test_a_mistake_in_it_is_no_error_of_the_user(capfd):
    with pytest.raises(RuntimeError):
        apart(lambda: 1 / 0, crash)

    assert "ZeroDivisionError" in capfd.readouterr().err


def test_it_leaves_no_process_and_no_pipe_behind():
    def held() -> tuple[list[str], str]:
        children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
        return os.listdir("/proc/self/fd"), children.read_text()

    before = held()

    apart(lambda: None, crash)

    assert held() == before
