"""What compilers at run time (Java, Node.js, Python) tell of the functions that they made.

Source: tools/perf/Documentation/jit-interface.txt (/tmp/perf-PID.map).
"""

from __future__ import annotations

from bisect import bisect_right

from skep.stream.symbols.opening import open_regular

__all__ = ["Compiled"]

_LARGEST = 1 << 26


class Compiled:
    """The functions that a process has told of.

    Args:
        folder: of the process in /proc.
        pid: that the process has for itself.
    """

    def __init__(self, folder: str, pid: int) -> None:
        self._functions: list[tuple[int, int, str]] = []
        for root in (f"{folder}/root", "/"):
            try:
                # Anybody can put something there: it is no link that is followed.
                fd = open_regular(root, f"/tmp/perf-{pid}.map", links=False)  # noqa: S108 - where they write it
            except OSError:
                continue
            with open(fd, "rb") as file:
                self._functions = sorted(_functions(file.read(_LARGEST)))
            return

    def function(self, address: int) -> str | None:
        """The function at an address; None if none is known.

        Args:
            address: in the process.
        """
        index = bisect_right(self._functions, address, key=lambda each: each[0]) - 1
        if index < 0 or address >= self._functions[index][0] + self._functions[index][1]:
            return None
        return self._functions[index][2]


def _functions(data: bytes) -> list[tuple[int, int, str]]:
    """The lines of such a file: start, size, both hexadecimal, and name. Those that are none are left out."""
    found = []
    for line in data.split(b"\n"):
        start, _, rest = line.partition(b" ")
        size, _, name = rest.partition(b" ")
        try:
            found.append((int(start, 16), int(size, 16), name.decode("utf-8", "surrogateescape")))
        except ValueError:
            continue
    return found
