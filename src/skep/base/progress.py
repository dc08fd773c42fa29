"""Long work is told on a terminal: one line of standard error, which is erased when it is over.

Nothing is told unless the command line asks for it (`tell`): who uses skep as a library has a terminal of their own.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

__all__ = ["Work", "erase", "tell"]

# Seconds: what takes no longer is not told, and how often the line is written anew.
_PATIENCE, _PAUSE = 0.5, 0.1


class _Line:
    """What is known of the terminal."""

    told = False
    shown = False


def tell() -> None:
    """Tells of long work from now on, if standard error is a terminal."""
    _Line.told = os.isatty(2)


def erase() -> None:
    """Takes the line away, before something else is written to the terminal. The next step writes it again."""
    if _Line.shown:
        _Line.shown = False
        _write("\r\x1b[K")


def _draw(text: str) -> None:
    try:
        # The last column stays free: terminals differ in what they do after it.
        text = text[: max(os.get_terminal_size(2).columns - 1, 1)]
    except OSError:
        return  # the terminal is gone
    _Line.shown = True
    _write(f"\r{text}\x1b[K")


def _write(text: str) -> None:
    try:
        os.write(2, text.encode(errors="backslashreplace"))
    except OSError:
        _Line.told = False  # the terminal is gone


class Work:
    """A piece of work, told while it lasts: a context manager.

    Args:
        what: what is done, such as ``reading run.parquet``.
        slow: whether it is known to take long, and cannot say how far it is: it is told at once.
    """

    __slots__ = ("_due", "_slow", "_what")

    def __init__(self, what: str, *, slow: bool = False) -> None:
        self._what = what if what.isprintable() else ascii(what)
        self._slow = slow
        self._due = 0.0

    def __enter__(self) -> Self:
        self._due = time.monotonic() + _PATIENCE
        if self._slow and _Line.told:
            _draw(f"skep: {self._what} ...")
        return self

    def step(self, part: float) -> None:
        """Tells how far it is.

        Args:
            part: from 0 to 1.
        """
        now = time.monotonic()
        if _Line.told and now >= self._due:
            self._due = now + _PAUSE
            _draw(f"skep: {self._what}: {part:.0%}")

    def __exit__(self, *_: object) -> None:
        erase()
