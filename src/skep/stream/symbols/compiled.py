"""What compilers at run time (Java, Node.js, Python) tell of the functions that they made.

Source: tools/perf/Documentation/jit-interface.txt (/tmp/perf-PID.map).
"""

from __future__ import annotations

import os
import time
from bisect import bisect_right

from skep.stream.symbols.opening import open_regular

__all__ = ["Compiled"]

_LARGEST = 1 << 26
_MOST = 500_000
# Seconds between two looks at a file that grows.
_PAUSE = 1
# Seconds by which the clock of files may be behind that of processes.
_SLACK = 1


class Compiled:
    """The functions that a process has told of. It is asked again when one is not known, once a second at most.

    Args:
        folder: of the process in /proc.
        pid: that the process has for itself.
        owners: the users whose file is believed, besides root: in /tmp, anybody can write one for any process.
        began: when the process did, in seconds since the Unix epoch: a file that is older is of another.
    """

    def __init__(self, folder: str, pid: int, owners: frozenset[int], began: float) -> None:
        self._roots = (f"{folder}/root", "/")
        self._path = f"/tmp/perf-{pid}.map"  # noqa: S108 - where they write it
        self._owners = owners | {0}
        self._began = began
        self._version: tuple[int, ...] = ()
        self._next_look = 0.0
        self._functions: list[tuple[int, int, str]] = []

    def function(self, address: int) -> str | None:
        """The function at an address; None if none is known.

        Args:
            address: in the process.
        """
        found = self._find(address)
        if found is None and time.monotonic() >= self._next_look:
            self._look()
            self._next_look = time.monotonic() + _PAUSE
            found = self._find(address)
        return found

    def _find(self, address: int) -> str | None:
        index = bisect_right(self._functions, address, key=lambda each: each[0]) - 1
        if index < 0 or address >= self._functions[index][0] + self._functions[index][1]:
            return None
        return self._functions[index][2]

    def _look(self) -> None:
        for root in self._roots:
            try:
                # It is no link that is followed.
                fd = open_regular(root, self._path, links=False)
            except OSError:
                continue
            with open(fd, "rb") as file:
                told = os.fstat(fd)
                if told.st_uid not in self._owners or told.st_mtime + _SLACK < self._began:
                    continue
                version = (told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns)
                if version != self._version:
                    self._version = version
                    self._functions = sorted(_functions(file.read(_LARGEST)))
            return


def _functions(data: bytes) -> list[tuple[int, int, str]]:
    """The lines of such a file: start, size, both hexadecimal, and name. Those that are none are left out."""
    found = []
    for line in data.split(b"\n", _MOST)[:_MOST]:
        start, _, rest = line.partition(b" ")
        size, _, name = rest.partition(b" ")
        try:
            found.append((int(start, 16), int(size, 16), name.decode("utf-8", "surrogateescape")))
        except ValueError:
            continue
    return found
