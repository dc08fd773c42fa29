"""The functions of the kernel, its modules and loaded eBPF programs, from /proc/kallsyms.

Minimum kernel: 2.6. Source: kernel/kallsyms.c; the addresses are shown by kptr_restrict (Documentation/admin-guide/
sysctl/kernel.rst), and where that is 0, to those with CAP_SYSLOG.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from contextlib import suppress

__all__ = ["HIDDEN", "KernelSymbols"]

HIDDEN = (
    "the kernel's functions have no names here: it hides where they are. "
    "As root, or with CAP_SYSLOG, and kernel.kptr_restrict below 2, it does not."
)
"""What is said, once, where addresses are hidden."""

_PATH = "/proc/kallsyms"
# Letters of nm(1): of functions, some of which are weak.
_FUNCTIONS = frozenset(b"tTwW")
# One reaches to the next; what is this far behind the last is in none.
_LARGEST_FUNCTION = 1 << 20


class KernelSymbols:
    """The functions of the running kernel. The file is opened at once, while privileges last, and read when asked."""

    def __init__(self) -> None:
        self._fd: int | None = None
        # A kernel may be built without it.
        with suppress(OSError):
            self._fd = os.open(_PATH, os.O_RDONLY | os.O_CLOEXEC)
        self._starts: array[int] = array("Q")
        self._names: list[bytes] = []

    def close(self) -> None:
        """Closes the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @property
    def hidden(self) -> bool:
        """Whether the kernel hides where its functions are."""
        self._load()
        return not self._starts

    def function(self, address: int) -> str | None:
        """The function at an address; None if none is known.

        Args:
            address: in the kernel.
        """
        found = self.at(address)
        if found is None:
            return None
        name, _, module = found
        return (name + b" [" + module + b"]" if module else name).decode("utf-8", "backslashreplace")

    def at(self, address: int) -> tuple[bytes, int, bytes] | None:
        """The function at an address, how far behind its begin that is, and its module; None if none is known.

        Args:
            address: in the kernel.
        """
        self._load()
        index = bisect_right(self._starts, address) - 1
        if index < 0 or (index == len(self._starts) - 1 and address - self._starts[index] > _LARGEST_FUNCTION):
            return None
        # A module's function has its module behind it, in brackets.
        name, _, module = self._names[index].partition(b"\t")
        return name, address - self._starts[index], module.strip(b"[]")

    def _load(self) -> None:
        if self._fd is None:
            return
        with open(self._fd, "rb") as file:
            self._fd = None
            data = file.read()
        found = []
        for line in data.splitlines():
            address, _, rest = line.partition(b" ")
            if rest[:1] and rest[0] in _FUNCTIONS:
                found.append((int(address, 16), rest[2:]))
        if not any(address for address, _ in found):
            return
        found.sort()
        self._starts = array("Q", [address for address, _ in found])
        self._names = [name for _, name in found]
