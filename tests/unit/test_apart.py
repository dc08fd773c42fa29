"""Work in a process of its own: what it returns, what it raises, and how it may end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from skep.base.errors import CompileError, Diagnostic, SkepError
from skep.spec.apart import Apart

PARENT = os.getpid()
SIGNALLED = """
import functools, os, signal, time
from skep.base.errors import SkepError
from skep.spec.apart import Apart

os.register_at_fork(after_in_child=functools.partial(signal.setitimer, signal.ITIMER_REAL, 1e-6))
signal.signal(signal.SIGALRM, signal.default_int_handler)
for _ in range(20):
    try:
        with Apart(lambda: time.sleep(60), lambda number: SkepError(f"ended by {number}")) as process:
            process.do(time.sleep, 60)
    except BaseException as error:
        print(error, flush=True)
"""


def crash(number: int) -> SkepError:
    return SkepError(f"ended by {number}")


def nothing() -> None:
    pass


@pytest.fixture
def process():
    with Apart(nothing, crash) as made:
        yield made


def told(*arguments: Any) -> dict[str, Any]:
    return {"arguments": arguments, "pid": os.getpid()}


def test_what_it_returns_comes_back_and_one_does_it_all(process):
    first, second = process.do(told, {"a": [1, "é\udcff"]}, None), process.do(told, "x" * 1_000_000)

    assert first["arguments"] == [{"a": [1, "é\udcff"]}, None]
    assert second["arguments"] == ["x" * 1_000_000]
    assert first["pid"] == second["pid"] != PARENT


def refuse() -> None:
    place = Diagnostic("annotation", "error", "no", file="a.c", line=3, column=7, suggestion="yes")
    raise CompileError("a.c:3:7: no", remedy="yes", diagnostics=[place])


def test_what_it_raises_comes_back_with_its_place_and_it_goes_on(process):
    with pytest.raises(CompileError, match=r"^a\.c:3:7: no$") as raised:
        process.do(refuse)

    assert raised.value.remedy == "yes"
    assert raised.value.diagnostic is not None
    assert str(raised.value.diagnostic) == "a.c:3:7: no"
    assert process.do(told)["pid"] != PARENT


def test_what_it_cannot_prepare_is_told_of_its_work():
    with Apart(refuse, crash) as process:
        process.start()
        for _ in range(2):
            with pytest.raises(CompileError, match=r"^a\.c:3:7: no$"):
                process.do(told)


def end(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_signal_that_ends_it_is_told(process, number):
    with pytest.raises(SkepError, match=rf"^ended by {int(number)}$"):
        process.do(end, int(number))

    # Another does what comes then.
    assert process.do(told)["pid"] != PARENT


def test_one_that_ends_before_its_work_is_told():
    with Apart(lambda: end(signal.SIGKILL), crash) as process, pytest.raises(SkepError, match=r"^ended by 9$"):
        process.do(told, "x" * 1_000_000)


def test_a_handler_of_ours_does_not_run_in_it(process):
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with pytest.raises(SkepError, match=r"^ended by 15$"):
            process.do(end, int(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)


def blocked() -> list[int]:
    return sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def test_what_is_blocked_stays_as_it_was(process):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        assert process.do(blocked) == blocked()
        assert signal.SIGINT not in blocked()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_signal_of_the_first_moment_is_no_error_in_it():
    """Sent by what runs in each child before all else, and caught where it would unwind the stack of the parent."""
    finished = subprocess.run(
        [sys.executable, "-c", SIGNALLED], capture_output=True, text=True, check=False, timeout=60
    )

    assert (finished.stdout, finished.stderr) == ("ended by 14\n" * 20, "")


def divide(by: int) -> float:
    return 1 / by


def test_a_mistake_in_it_is_no_error_of_the_user(process, capfd):
    with pytest.raises(RuntimeError):
        process.do(divide, 0)

    assert "ZeroDivisionError" in capfd.readouterr().err


def held() -> tuple[list[str], str]:
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    return os.listdir("/proc/self/fd"), children.read_text()


@pytest.mark.parametrize("use", [lambda process: process.do(told), Apart.start, lambda _: None])
def test_it_leaves_no_process_and_no_pipe_behind(use):
    before = held()

    with Apart(lambda: time.sleep(0.05), crash) as process:
        use(process)

    assert held() == before


def test_what_cannot_be_started_leaves_nothing_behind(process, monkeypatch):
    def refuse_another() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", refuse_another)
    before = held()

    with pytest.raises(BlockingIOError):
        process.do(told)

    assert held() == before
    monkeypatch.undo()
    assert process.do(told)["pid"] != PARENT


def test_it_ends_though_another_process_has_its_pipes():
    with Apart(nothing, crash) as process:
        process.start()
        other = os.fork()
        if other == 0:
            time.sleep(60)
            os._exit(0)
    # That came back is what is asked for.
    os.kill(other, signal.SIGKILL)
    os.waitpid(other, 0)
