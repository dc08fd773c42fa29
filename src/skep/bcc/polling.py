"""Waiting for records, as scripts say it: the part of `BPF` that calls them back."""

from __future__ import annotations

import ctypes
import select

from skep.base.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

__all__ = ["Polling"]


class Polling:
    """What scripts wait for. `tables` holds those that they have asked for, by name."""

    def __init__(self) -> None:
        self.tables: dict[str, Any] = {}

    def _streams(self, kinds: Iterable[str]) -> list[Any]:
        tables = (each for each in self.tables.values() if each.kind in kinds)
        return [each.stream for each in tables if each.stream is not None]

    def perf_buffer_poll(self, timeout: int = -1) -> None:
        """Waits for records of perf buffers, and calls for all that are there.

        Args:
            timeout: in milliseconds; -1 for ever.
        """
        self._poll(("perf_output", "perf_array"), timeout)

    kprobe_poll = perf_buffer_poll

    def perf_buffer_consume(self) -> None:
        """Calls for the records of perf buffers that are there."""
        self._poll(("perf_output", "perf_array"), 0)

    def ring_buffer_poll(self, timeout: int = -1) -> None:
        """Waits for records of ring buffers, and calls for all that are there.

        Args:
            timeout: in milliseconds; -1 for ever.

        Raises:
            UsageError: no ring buffer is open.
        """
        if not self._streams(("ringbuf",)):
            raise UsageError("No ring buffers to poll", remedy='Open one: b["events"].open_ring_buffer(callback).')
        self._poll(("ringbuf",), timeout)

    def ring_buffer_consume(self) -> None:
        """Calls for the records of ring buffers that are there.

        Raises:
            UsageError: no ring buffer is open.
        """
        self.ring_buffer_poll(0)

    def _poll(self, kinds: Iterable[str], timeout: int) -> None:
        streams = self._streams(kinds)
        _wait([stream.fileno() for stream in streams], timeout)
        for stream in streams:
            stream.deliver()


class _Watched(ctypes.Structure):
    """struct pollfd of poll(2)."""

    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


def _wait(fds: Sequence[int], timeout: int) -> None:
    """Waits until there is something to read.

    It ends with a signal, too: scripts set a variable in a handler, and look at it after each poll. Python's own would
    go on waiting (PEP 475).

    Args:
        fds: file descriptors.
        timeout: in milliseconds; less than 0 for ever.
    """
    watched = (_Watched * len(fds))(*(_Watched(fd, select.POLLIN, 0) for fd in fds))
    ctypes.CDLL(None).poll(watched, ctypes.c_ulong(len(fds)), int(timeout))
