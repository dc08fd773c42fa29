"""Names of the kernel's functions by their addresses, and the other way round (/proc/kallsyms), and of processes'.

Source: kernel/kallsyms.c.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache

from skep.stream.symbols.kernel import KernelSymbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.stream.symbols.process import Process

__all__ = ["KernelNames", "kernel_names", "user_symbol"]

_LINE = re.compile(rb"^([0-9a-f]+) (\w) ([^\t\n]+)(?:\t\[(\S+)\])?$", re.MULTILINE)
_FUNCTIONS = b"tTwW"


class KernelNames:
    """The kernel's symbols, read once."""

    def __init__(self) -> None:
        with open("/proc/kallsyms", "rb") as file:
            self._text = file.read()
        self._symbols = KernelSymbols()

    def address(self, name: bytes) -> int | None:
        """Where a symbol lies; None if there is none.

        Args:
            name: of it.
        """
        found = re.search(rb"^([0-9a-f]+) \w " + re.escape(name) + rb"(?:\t|$)", self._text, re.MULTILINE)
        return int(found[1], 16) if found else None

    def functions(self) -> list[bytes]:
        """The names of all functions."""
        return [name for _, kind, name, _ in _LINE.findall(self._text) if kind in _FUNCTIONS]

    def at(self, address: int) -> tuple[bytes, int, bytes] | None:
        """The function at an address, how far behind its begin that is, and its module; None if there is none.

        Args:
            address: in the kernel.
        """
        return self._symbols.at(address)


@cache
def kernel_names() -> KernelNames:
    """The symbols of the running kernel."""
    return KernelNames()


def user_symbol(address: int, pid: int, *, plain: bool) -> tuple[bytes, int, bytes] | None:
    """The function at an address of a process, how far behind its begin that is, and its file; None if none is known.

    Args:
        address: in the process.
        pid: of the process.
        plain: names of C++ as the linker has them.
    """
    from skep.stream.symbols.demangling import demangled

    mapping, file, offset = _process(pid).place(address)
    found = file.find(offset) if file is not None else None
    if mapping is None or found is None:
        return None
    name = found[0] if plain else demangled(found[0])
    return os.fsencode(name), found[1], os.fsencode(mapping.path)


@cache
def _process(pid: int) -> Process:
    from skep.stream.symbols.files import Files
    from skep.stream.symbols.process import Process

    return Process(pid, Files(lambda line: print(line, file=sys.stderr)))  # noqa: T201
