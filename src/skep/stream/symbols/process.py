"""The functions of processes: where their files are mapped, and what compilers at run time have told.

What a process has mapped is gone with it, so it is read when the process is first seen, and again while it lives.

Source: proc(5) (/proc/PID/maps, /proc/PID/root).
"""

from __future__ import annotations

import os
from bisect import bisect_right

from skep.stream.symbols.compiled import Compiled
from skep.stream.symbols.demangling import demangled
from skep.stream.symbols.executable import Executable
from skep.stream.symbols.opening import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Files", "Mapped", "Process"]

# A process that maps more is none that people look at.
_LARGEST_MAPS = 1 << 24


class Mapped:
    """A file, or memory without one, that a process can execute.

    Args:
        start: its first address.
        end: that behind its last.
        offset: of the first address in the file.
        inode: of the file; 0 for none.
        path: of the file, as the process sees it; or ``[vdso]`` and the like, or "".
    """

    __slots__ = ("end", "inode", "offset", "path", "start")

    def __init__(self, start: int, end: int, offset: int, inode: int, path: str) -> None:
        self.start = start
        self.end = end
        self.offset = offset
        self.inode = inode
        self.path = path


class Files:
    """The executables and libraries that processes have mapped, each read once.

    Args:
        complain: is told, once a file, why a file cannot be read.
    """

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        # None: it cannot be read.
        self._by_path: dict[tuple[str, int], Executable | None] = {}
        self._by_build_id: dict[str, Executable] = {}
        self._paths: dict[str, str] = {}

    def of(self, mapping: Mapped, root: str) -> Executable | None:
        """The file of a mapping; None if it is gone, another one by now, or no executable.

        Args:
            mapping: of a process.
            root: the folder that the process sees as /, where it can be reached.
        """
        key = (mapping.path, mapping.inode)
        if key not in self._by_path:
            self._by_path[key] = self._read(mapping, root)
        return self._by_path[key]

    def by_build_id(self, build_id: str) -> tuple[Executable | None, str]:
        """The file with a build id, if a process that was seen has it mapped, and its path.

        Args:
            build_id: in hexadecimal digits.
        """
        return self._by_build_id.get(build_id), self._paths.get(build_id, "")

    def _read(self, mapping: Mapped, root: str) -> Executable | None:
        for folder in (root, "/"):
            try:
                fd = open_regular(folder, mapping.path)
            except OSError:
                continue
            try:
                if os.fstat(fd).st_ino != mapping.inode:
                    continue
                found = Executable(fd)
            except (OSError, ValueError) as error:
                self._complain(f"{mapping.path}: its functions have no names: {error}")
                return None
            finally:
                os.close(fd)
            if not found.build_id:
                return found
            self._paths.setdefault(found.build_id, mapping.path)
            return self._by_build_id.setdefault(found.build_id, found)
        return None


class Process:
    """What one process has mapped. It may have ended since.

    Args:
        pid: of the process, or of one of its threads.
        files: those that are known.
    """

    def __init__(self, pid: int, files: Files) -> None:
        self._folder = f"/proc/{pid}"
        self._files = files
        self._told = b""
        self._mappings: list[Mapped] = []
        self._starts: list[int] = []
        self._own_pid = pid
        self._compiled: Compiled | None = None

    def look(self) -> bool:
        """Reads what it has mapped now; False if that is what it had before, or it has ended."""
        try:
            with open(f"{self._folder}/maps", "rb") as file:
                told = file.read(_LARGEST_MAPS)
        except OSError:
            return False
        if not told or told == self._told:
            return False
        if not self._told:
            self._own_pid = self._inner_pid()
        self._told = told
        self._set(list(filter(None, map(_mapping, told.split(b"\n")))))
        # Now, while its files can be reached.
        for mapping in self._mappings:
            if mapping.inode:
                self._files.of(mapping, f"{self._folder}/root")
        return True

    def _set(self, mappings: list[Mapped]) -> None:
        self._mappings = mappings
        self._starts = [mapping.start for mapping in mappings]

    def executed(self) -> None:
        """It has begun another program."""
        self._told, self._compiled = b"", None
        self._set([])

    def inherit(self, parent: Process) -> None:
        """It was forked.

        Args:
            parent: whose mappings it has, too.
        """
        self._set(parent._mappings)

    def map(self, new: Mapped) -> None:
        """It has mapped something.

        Args:
            new: that, which takes the place of what was there.
        """
        others = [each for each in self._mappings if each.end <= new.start or new.end <= each.start]
        self._set(sorted([*others, new], key=lambda each: each.start))

    def function(self, address: int) -> str:
        """The function at an address; where it is, if none is known.

        Args:
            address: in the process.
        """
        mapping, file, offset = self.place(address)
        if mapping is None:
            return f"[unknown {address:#x}]"
        if file is not None:
            name = file.function(offset)
            return demangled(name) if name else f"[unknown {os.path.basename(mapping.path)}+{offset:#x}]"
        # Memory of its own, or shared by way of a file that is none.
        if self._compiled is None:
            self._compiled = Compiled(self._folder, self._own_pid)
        where = os.path.basename(mapping.path).strip("[]") or "memory"
        return self._compiled.function(address) or f"[unknown {where}+{offset:#x}]"

    def place(self, address: int) -> tuple[Mapped | None, Executable | None, int]:
        """What is mapped at an address, the file if there is one, and the place in it.

        Args:
            address: in the process.
        """
        mapping = self._at(address)
        if mapping is None and self.look():
            mapping = self._at(address)
        if mapping is None:
            return None, None, 0
        file = self._files.of(mapping, f"{self._folder}/root") if mapping.inode else None
        return mapping, file, address - mapping.start + mapping.offset

    def _at(self, address: int) -> Mapped | None:
        index = bisect_right(self._starts, address) - 1
        return self._mappings[index] if index >= 0 and address < self._mappings[index].end else None

    def _inner_pid(self) -> int:
        """The process id that it has for itself, which a container makes another."""
        try:
            with open(f"{self._folder}/status", "rb") as file:
                return next((int(line.split()[-1]) for line in file if line.startswith(b"NStgid:")), self._own_pid)
        except OSError:
            return self._own_pid


def _mapping(line: bytes) -> Mapped | None:
    """What a line of /proc/PID/maps tells; None for what cannot be executed."""
    parts = line.split(None, 5)
    if len(parts) < 5 or b"x" not in parts[1]:
        return None
    start, _, end = parts[0].partition(b"-")
    path = os.fsdecode(parts[5]) if len(parts) > 5 else ""
    # The kernel writes a line break in a name so.
    path = path.replace("\\012", "\n")
    try:
        return Mapped(int(start, 16), int(end, 16), int(parts[2], 16), int(parts[4]), path)
    except ValueError:
        return None
