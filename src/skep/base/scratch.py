"""`Scratch`: a folder for what is being made, which leaves nothing behind, even where its maker is killed.

Its maker holds a lock on it, which the kernel takes away with the process: a folder that nobody has locked is a
leftover, and whoever makes the next one in the same place removes it. Where folders cannot be locked (NFS) they stay.

Source: flock(2).
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Scratch"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Scratch:
    """A folder, for our user alone: a context manager that removes it with all that it holds.

    Args:
        parent: the folder in which it is made.
        prefix: how its name begins. Whatever begins so in `parent` is taken for one of these.

    Raises:
        OSError: it cannot be made.

    `path` is where it is.
    """

    def __init__(self, parent: str, prefix: str) -> None:
        _remove_leftovers(parent, prefix)
        self.path, self._lock = _make(os.path.join(parent, prefix))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _remove(self.path)
        os.close(self._lock)


def _make(begin: str) -> tuple[str, int]:
    """A folder of our own, and the file descriptor that has it locked."""
    while True:
        path = begin + os.urandom(8).hex()
        os.mkdir(path, 0o700)
        try:
            folder = os.open(path, _FOLDER)
        except FileNotFoundError:
            continue
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        # Until it was locked, it was a leftover to everybody else.
        if os.path.exists(path):
            return path, folder
        os.close(folder)


def _remove_leftovers(parent: str, prefix: str) -> None:
    for name in os.listdir(parent):
        if not name.startswith(prefix):
            continue
        path = os.path.join(parent, name)
        try:
            folder = os.open(path, _FOLDER)
        except OSError:
            continue
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Where everybody may put folders, some are not ours to remove.
            if os.fstat(folder).st_uid == os.geteuid():
                _remove(path)
        except OSError:
            # Its maker lives.
            continue
        finally:
            os.close(folder)


def _remove(path: str) -> None:
    try:
        # What was made has mostly been moved to its place.
        os.rmdir(path)
    except OSError:
        import shutil

        # What a program still adds to it goes with the next one.
        shutil.rmtree(path, ignore_errors=True)
