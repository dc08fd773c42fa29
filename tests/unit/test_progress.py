"""Long work is told on a terminal, and on nothing else."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
from contextlib import contextmanager

import pytest

from skep.base import progress
from skep.base.progress import Work, erase, tell
from skep.cli import main
from tests.unit.test_recording import written

ERASED = "\r\x1b[K"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Tells at once, and nothing of another test's terminal."""
    monkeypatch.setattr(progress, "_PATIENCE", 0)
    monkeypatch.setattr(progress, "_PAUSE", 0)
    monkeypatch.setattr(progress._Line, "told", False)
    monkeypatch.setattr(progress._Line, "shown", False)


@contextmanager
def terminal(columns=80, streams=(2,)):
    """Puts a terminal in the place of standard error; gives a function that reads what was written there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST  # a newline is a newline
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    saved = {stream: os.dup(stream) for stream in streams}
    for stream in streams:
        os.dup2(theirs, stream)

    def read():
        # A terminal hands over what is written to it a little later: all has come once this has.
        os.write(theirs, b"\0")
        told = b""
        while not told.endswith(b"\0"):
            told += os.read(ours, 1 << 16)
        return told[:-1].decode()

    try:
        yield read
    finally:
        for stream, fd in saved.items():
            os.dup2(fd, stream)
            os.close(fd)
        os.close(ours)
        os.close(theirs)


def test_a_line_is_written_and_erased():
    with terminal() as read:
        tell()
        with Work("reading a.parquet") as work:
            work.step(0.25)
        assert read() == f"\rskep: reading a.parquet: 25%\x1b[K{ERASED}"


def test_what_is_slow_is_told_at_once():
    with terminal() as read:
        tell()
        with Work("compiling a.bpf.c", slow=True):
            assert read() == "\rskep: compiling a.bpf.c ...\x1b[K"
        assert read() == ERASED


def test_a_narrow_terminal_has_one_line_and_names_do_not_act_on_it():
    with terminal(columns=20) as read:
        tell()
        with Work("reading \x1b[2J and more", slow=True):
            assert read() == "\rskep: 'reading \\x1b\x1b[K"
        read()


def test_the_line_gives_way_to_output():
    with terminal() as read:
        tell()
        with Work("reading") as work:
            work.step(0)
            erase()
            erase()
            os.write(2, b"output\n")
        assert read() == f"\rskep: reading: 0%\x1b[K{ERASED}output\n"


def test_what_is_quick_is_not_told(monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", 3600)
    with terminal() as read:
        tell()
        with Work("reading") as work:
            work.step(0.5)
        os.write(2, b"nothing else")
        assert read() == "nothing else"


def test_nobody_is_told_who_did_not_ask():
    with terminal() as read:
        with Work("reading", slow=True) as work:
            work.step(0.5)
        os.write(2, b"nothing else")
        assert read() == "nothing else"


def test_a_pipe_is_not_told(tmp_path, capfd):
    path = str(written(tmp_path / "a.parquet"))

    assert main(["replay", "-q", path, "--to", str(tmp_path / "b.parquet")]) == 0

    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_replay_tells_how_far_it_is(tmp_path, suffix, capfd):
    path = str(written(tmp_path / f"a.{suffix}"))
    with capfd.disabled(), terminal() as read:
        assert main(["replay", "-q", path, "--to", str(tmp_path / "b.parquet")]) == 0
        told = read()

    assert re.search(rf"skep: reading a\.{suffix}: \d+%", told)
    assert "skep: making Parquet: " in told
    assert told.endswith(ERASED)


def test_a_terminal_that_is_gone_is_no_error():
    with terminal():
        tell()
        with Work("reading", slow=True) as work:
            os.close(2)
            work.step(1)
