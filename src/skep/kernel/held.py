"""`Held`: what owns something of the kernel's, until it is closed, and only in the process that opened it.

A fork has the same file descriptors as its parent: it would keep programs attached that the parent has detached, or
detach those that the parent still wants. So a fork lets go of all of them at once, detaches nothing, and is refused
when it uses one.

Source: fork(2), bpf(2); kernel/bpf/syscall.c (bpf_link_release: a link goes with its last file descriptor).
"""

from __future__ import annotations

import os
import warnings
from _thread import RLock

# The module weakref makes of it what takes longer to import.
from _weakref import ref

from skep.base.closing import Closing
from skep.base.errors import ClosedError

__all__ = ["Held"]

# By their id: a mapping has no hash. Whoever forgets one is told so, which a reference of ours would prevent.
_open: dict[int, ref[Held]] = {}
# Of two threads that close the same thing, one does. A signal handler may close it, too.
_closing = RLock()


class Held(Closing):
    """Something of the kernel's: a context manager that closes it. One that is never closed raises ResourceWarning."""

    # Why it cannot be used any more; what was never opened needs no closing.
    _gone = "was never opened"

    def _hold(self) -> None:
        """From here on it is to be closed."""
        self._gone = ""
        _open[id(self)] = ref(self)

    def __repr__(self) -> str:
        return f"<{self._told()}{', closed' if self._gone else ''}>"

    def __del__(self) -> None:
        if not self._gone:
            warnings.warn(f"{self!r} was never closed", ResourceWarning, stacklevel=2, source=self)
            self.close()

    @property
    def closed(self) -> bool:
        """Whether it is closed; in a fork of the process that opened it, it is."""
        return bool(self._gone)

    def check(self) -> None:
        """Refuses what needs it open.

        Raises:
            ClosedError: it is closed, or another process opened it.
        """
        if self._gone:
            raise ClosedError(f"<{self._told()}> {self._gone}", remedy="Load and attach in the process that uses it.")

    def close(self) -> None:
        """Lets go of it. To close it twice is fine."""
        if self._end("is closed"):
            self._release()

    def _end(self, why: str) -> bool:
        """Lets nobody use it any more; whether it was open until now.

        Args:
            why: what becomes of it.
        """
        with _closing:
            was_open = not self._gone
            self._gone = self._gone or why
            _open.pop(id(self), None)
        return was_open

    def _told(self) -> str:
        """What it is, for people."""
        return type(self).__name__

    def _release(self) -> None:
        """Gives back what it holds."""
        raise NotImplementedError

    def _abandon(self) -> None:
        """In a fork: closes its file descriptors, and leaves alone what they stand for."""
        self._release()


def _forked() -> None:
    global _closing  # noqa: PLW0603 - whoever held it is not here
    _closing = RLock()
    # Told of all first: one may close others as it goes.
    inherited = [held for known in _open.values() if (held := known()) is not None and not held.closed]
    for held in inherited:
        held._gone = f"belongs to process {os.getppid()}, and this is a fork of it"  # noqa: SLF001 - its own base
    for held in inherited:
        held._abandon()  # noqa: SLF001


os.register_at_fork(after_in_child=_forked)
