"""Names of the kernel's functions by their addresses, and the other way round (/proc/kallsyms), and of processes'.

Source: kernel/kallsyms.c.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache, cached_property

from skep.bcc.binaries import open_binary_of
from skep.bcc.refusing import Refusing
from skep.bcc.utils import as_bytes, as_text
from skep.stream.symbols.kernel import KernelSymbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.stream.symbols.process import Process

__all__ = ["KernelNames", "SymbolCache", "kernel_names", "user_symbol"]

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

    @cached_property
    def functions(self) -> list[bytes]:
        """The names of all functions."""
        return [name for _, kind, name, _ in _LINE.findall(self._text) if kind in _FUNCTIONS]

    def at(self, address: int) -> tuple[bytes, int, bytes] | None:
        """The function at an address, how far behind its begin that is, and its module; None if there is none.

        The kernel's own are of module ``kernel``.

        Args:
            address: in the kernel.
        """
        found = self._symbols.at(address)
        return found and (found[0], found[1], found[2] or b"kernel")


@cache
def kernel_names() -> KernelNames:
    """The symbols of the running kernel."""
    return KernelNames()


def user_symbol(address: int, pid: int, *, plain: bool) -> tuple[bytes, int, bytes] | None:
    """The function at an address of a process, how far behind its begin that is, and its file; None if none is known.

    Where the file is known alone, the function is empty, and the begin that of the file.

    Args:
        address: in the process.
        pid: of the process, as an int of C: scripts give what bpf_get_current_pid_tgid() returned, too.
        plain: names of C++ as the linker has them.
    """
    from skep.stream.symbols.demangling import demangled

    mapping, file, offset = _process(pid & 0xFFFFFFFF).place(address)
    found = file.find(offset) if file is not None else None
    if mapping is not None and mapping.path == "[vdso]":
        return b"", address, b"[vdso]"
    if mapping is None or not mapping.path.startswith("/"):
        return None
    if found is None:
        return b"", offset, os.fsencode(mapping.path)
    name = found[0] if plain else demangled(found[0])
    return os.fsencode(name), found[1], os.fsencode(mapping.path)


@cache
def _process(pid: int) -> Process:
    from skep.stream.symbols.files import Files
    from skep.stream.symbols.process import Process

    return Process(pid, Files(lambda line: print(line, file=sys.stderr)))  # noqa: T201


class SymbolCache(Refusing):
    """The names of one process, or of the kernel, as BCC's scripts ask for them.

    Args:
        pid: of the process; -1 for the kernel.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def resolve(self, addr: int, demangle: bool) -> tuple[bytes | None, int, bytes | None]:
        """The function at an address, how far behind its begin that is, and its file or module.

        Where the file is known alone, the function is None; where nothing is: None, the address itself, None.

        Args:
            addr: the address.
            demangle: names of C++ as they are written.
        """
        found = kernel_names().at(addr) if self._pid < 0 else user_symbol(addr, self._pid, plain=not demangle)
        if found is None:
            return None, addr, None
        name, distance, module = found
        return name or None, distance, module or b"kernel"

    def resolve_name(self, module: str | bytes | None, name: str | bytes) -> int:
        """Where a function lies; -1 if there is none.

        Args:
            module: the path of the file that it is in; of the kernel, None will do.
            name: of it.
        """
        if self._pid < 0:
            found = kernel_names().address(as_bytes(name))
            return -1 if found is None else found
        return _address_in(self._pid, as_text(module or b""), as_text(name))


def _address_in(pid: int, module: str, name: str) -> int:
    """Where a process has mapped a function of a file; -1 where it has not."""
    binary = open_binary_of(module)
    places = {binary.offset(symbol.address) for symbol in binary.symbols() if symbol.name == name and symbol.address}
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            addresses, rights, begin, _, _, path = [*line.rstrip("\n").split(None, 5), ""][:6]
            first, last = (int(number, 16) for number in addresses.split("-"))
            if path != module or "x" not in rights:
                continue
            for place in places:
                if place is not None and 0 <= place - int(begin, 16) < last - first:
                    return first + place - int(begin, 16)
    return -1
