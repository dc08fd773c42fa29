"""Work in a process of its own: what it returns, what it raises, and how it may end."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from skep.base.errors import CompileError, Diagnostic, SkepError
from skep.spec.apart import apart

PARENT = os.getpid()


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
