"""`Stop`: a wish to end that wakes who waits."""

from __future__ import annotations

import os
from _thread import RLock

from skep.base.closing import Closing

__all__ = ["Stop"]

# Seconds that a command may take to end by itself after Ctrl-C, which comes to it as it comes to us.
_GRACE = 2.0


class Stop(Closing):
    """A wish to end, from a signal handler or another thread; `fd` is readable once it is there. A context manager."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.requested = False
        self.grace = 0.0
        # Another thread may close it at the moment of a request; and a signal may come while we hold it.
        self._lock = RLock()

    def close(self) -> None:
        """Closes `fd`; what is asked for from now on wakes nobody."""
        with self._lock:
            fd, self.fd = self.fd, -1
            if fd >= 0:
                os.close(fd)

    def request(self, *, interrupted: bool = False) -> None:
        """Asks the run to end after a last drain.

        Args:
            interrupted: by Ctrl-C, so that the command, too, has been asked to end.
        """
        self.requested = True
        self.grace = _GRACE if interrupted else 0.0
        with self._lock:
            if self.fd >= 0:
                os.eventfd_write(self.fd, 1)
