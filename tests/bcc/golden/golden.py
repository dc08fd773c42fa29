"""Runs a script beside what it is to see, to be recorded under BCC itself (`record`) or to be compared with that.

What differs between two runs of one tool, such as a process id, is replaced by a word, with the blanks around it.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import subprocess
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.bcc.golden.cases import HERE, PROBED, RUNTIME, Case

# poll, select, nanosleep, clock_nanosleep, epoll_wait, pselect6, ppoll, epoll_pwait of x86-64.
_PROGRAMS = {"probed": PROBED, "runtime": RUNTIME}
_WAITING = {"7", "23", "35", "230", "232", "270", "271", "281"}


def printed(case: Case, start: Sequence[str], tools: Path, env: Mapping[str, str], limit: float) -> list[str]:
    """Runs a script beside what it is to see, and gives what it prints of that.

    Args:
        case: which.
        start: the command that the script is given to.
        tools: the folder of Debian's tools.
        env: the environment.
        limit: seconds that it has to be ready, and again to be done.

    Raises:
        AssertionError: it has ended before, or does not print what it is to.
    """
    here = provoking(case)
    pid = here.pid if here else 0
    values = {"pid": pid, "probed": PROBED, "runtime": RUNTIME}
    # Other braces are the tools' own.
    arguments = [re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), word) for word in case.arguments]
    # A pipe that nobody reads would fill.
    with tempfile.TemporaryFile() as said:
        return _printed(case, [*start, str(case.path(tools)), *arguments], env, limit, here, said)


def _printed(
    case: Case,
    command: Sequence[str],
    env: Mapping[str, str],
    limit: float,
    here: subprocess.Popen[bytes] | None,
    said: IO[bytes],
) -> list[str]:
    tool = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=said,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
        # Started in the background, a process may ignore what Ctrl-C sends.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    text = ""
    try:
        text += _until(tool, case.ready, limit) if case.ready else ""
        if here and here.stdin:
            _until_asleep(tool, limit)
            here.stdin.write(b"\n")
            here.stdin.flush()
        if case.done:
            text += _until(tool, case.done, limit)
        elif here:
            _until_waiting(here, limit)
        if case.ready:
            # BCC forgets about an interrupt while it calls back.
            _until_asleep(tool, limit)
            tool.send_signal(signal.SIGINT)
        text += tool.communicate(timeout=limit)[0].decode()
    except (subprocess.TimeoutExpired, EOFError) as error:
        raise AssertionError(f"{error}: it printed {text!r}, and {_said(said)}") from error
    finally:
        tool.kill()
        tool.communicate()
        if here:
            here.kill()
            here.communicate()
    lines = told(case, text, here.pid if here else 0)
    assert any(lines), f"{case.name} printed {text!r}, and {_said(said)}"
    return lines


def _said(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read()[-3000:].decode()


def provoking(case: Case) -> subprocess.Popen[bytes] | None:
    """The process that is told by a line on its standard input to do what a case is to see."""
    if not case.provoke:
        return None
    program, *arguments = case.provoke.split()
    if program in _PROGRAMS:
        return subprocess.Popen([str(_PROGRAMS[program]), *arguments], stdin=subprocess.PIPE)
    command = ["/usr/bin/python3", str(HERE / "provoke.py"), program]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdout.readline() == b"here\n"
    return started


def _until(tool: subprocess.Popen[bytes], pattern: str, limit: float) -> str:
    """What a tool prints until that has a pattern."""
    assert tool.stdout is not None
    text, end = "", time.monotonic() + limit
    while not re.search(pattern, text, re.MULTILINE):
        ready, _, _ = select.select([tool.stdout], [], [], max(0, end - time.monotonic()))
        data = os.read(tool.stdout.fileno(), 65536) if ready else b""
        if not data:
            raise EOFError(f"it did not print {pattern}, but {text!r}")
        text += data.decode()
    return text


def _until_asleep(tool: subprocess.Popen[bytes], limit: float) -> None:
    """Waits until a tool waits for events, or for time to go by: many print their header before they listen.

    One that has ended has printed all.
    """
    end, children = time.monotonic() + limit, Path(f"/proc/{tool.pid}/task/{tool.pid}/children")
    while tool.poll() is None and (
        # Not for a compiler.
        children.read_text() or Path(f"/proc/{tool.pid}/syscall").read_text().split()[0] not in _WAITING
    ):
        assert time.monotonic() < end, "the tool does not wait for events"
        time.sleep(0.01)


def _until_waiting(here: subprocess.Popen[bytes], limit: float) -> None:
    """Waits until what provokes has read its first line, done what it does, and waits for the second."""
    assert here.stdin is not None
    end, unread = time.monotonic() + limit, b"    "
    while unread != bytes(4) or Path(f"/proc/{here.pid}/stat").read_text().rpartition(") ")[2][0] != "S":
        assert time.monotonic() < end, "what provokes is not done"
        time.sleep(0.01)
        unread = fcntl.ioctl(here.stdin, termios.FIONREAD, bytes(4))


def told(case: Case, text: str, pid: int) -> list[str]:
    """The lines that count, with words for what differs."""
    if pid:
        text = _with_word(text, rf"\b{pid}\b", "PID")
    kept = "\n".join(line for line in text.splitlines() if re.search(case.keep, line))
    for pattern, word in case.words:
        kept = _with_word(kept, pattern, word)
    lines = [line.rstrip() for line in kept.split("\n")]
    return [line for line in dict.fromkeys(lines) if line] if case.once else lines


def _with_word(text: str, pattern: str, word: str) -> str:
    return re.sub(rf"( ?) *(?:{pattern})( ?) *", rf"\g<1>{word}\g<2>", text, flags=re.MULTILINE)
