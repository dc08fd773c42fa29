"""The functions of processes: where their files are mapped, and what compilers at run time have told.

What a process has mapped is gone with it, so it is read when the process is first seen, and again while it lives.

Source: proc(5) (/proc/PID/maps, /proc/PID/stat, /proc/PID/root).
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from skep.stream.symbols.compiled import Compiled
from skep.stream.symbols.demangling import demangled
from skep.stream.symbols.mappings import Mappings, read_mappings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.stream.symbols.executable import Executable
    from skep.stream.symbols.files import Files
    from skep.stream.symbols.mappings import Mapped

__all__ = ["Process"]

# A process that maps more is none that people look at.
_LARGEST_MAPS = 1 << 24
# So many programs before the one that it executes now are remembered: a wrapper executes the next one, and seldom more.
_PROGRAMS = 4
# In /proc/PID/stat, counted from what is behind the name.
_START_TIME = 22 - 3


class Process:
    """What one process has mapped. It may have ended since.

    Args:
        pid: of the process, or of one of its threads.
        files: those that are known.
    """

    def __init__(self, pid: int, files: Files) -> None:
        self._folder = f"/proc/{pid}"
        self._root = f"{self._folder}/root"
        self._files = files
        self._own_pid = pid
        self._owners: frozenset[int] = frozenset()
        self._began = b""
        self._told = b""
        self._now = Mappings()
        self._is_inherited = False
        # Of the programs that it executed before: samples of them may be named still.
        self._earlier: list[Mappings] = []
        self._compiled: Compiled | None = None

    def look(self) -> bool:
        """Reads what it has mapped now; False if that is what it had before, or it has ended."""
        try:
            began = self._start_time()
            with open(f"{self._folder}/maps", "rb") as file:
                told = file.read(_LARGEST_MAPS)
        except OSError:
            return False
        if self._began and began != self._began:
            # It is another one, of the same number.
            self.executed()
        self._began = began
        if not told or told == self._told:
            return False
        self._told = told
        self._identify()
        self._now, self._is_inherited = read_mappings(told), False
        # Those of a container can be reached while it lives.
        with suppress(OSError):
            if not os.path.samefile(self._root, "/"):
                self.read_files()
        return True

    def read_files(self) -> None:
        """Reads all files that it has mapped: from then on they are known by their build ids."""
        for mapping in self._now:
            if mapping.inode:
                self._files.of(mapping, self._root)

    def executed(self) -> None:
        """It has begun another program."""
        # What a process has from its parent alone seldom runs before the next program begins: it would only make
        # addresses ambiguous.
        if self._now and not self._is_inherited:
            self._earlier = [*self._earlier, self._now][-_PROGRAMS:]
        self._now, self._is_inherited = Mappings(), False
        self._told, self._compiled = b"", None

    def inherit(self, parent: Process) -> None:
        """It was forked.

        Args:
            parent: whose mappings it has, too.
        """
        # One of the same number may have been before.
        self.executed()
        self._began = b""
        self._now, self._is_inherited = parent._now.copy(), True

    def map(self, new: Mapped) -> None:
        """It has mapped something.

        Args:
            new: that, which takes the place of what was there.
        """
        self._now.map(new)
        self._is_inherited = False

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
        where = os.path.basename(mapping.path).strip("[]") or "memory"
        return self._of_compiler(address) or f"[unknown {where}+{offset:#x}]"

    def place(self, address: int) -> tuple[Mapped | None, Executable | None, int]:
        """What is mapped at an address, the file if there is one, and the place in it.

        Nothing, where it was something else in one program of the process than in another: which one a sample is of,
        nobody tells.

        Args:
            address: in the process.
        """
        found = self._at(address)
        if not found and self.look():
            found = self._at(address)
        if not found or not all(found[0].agrees(other) for other in found[1:]):
            return None, None, 0
        mapping = found[0]
        file = self._files.of(mapping, self._root) if mapping.inode else None
        return mapping, file, address - mapping.start + mapping.offset

    def _at(self, address: int) -> list[Mapped]:
        """What is mapped at an address, and what programs before had there."""
        return [found for each in (self._now, *self._earlier) if (found := each.at(address)) is not None]

    def _of_compiler(self, address: int) -> str | None:
        """The function in memory of its own, or shared by way of a file that is none."""
        if self._now.at(address) is None:
            return None  # what has been told of a program before is gone
        if self._compiled is None:
            ticks = int(self._began or 0) / os.sysconf("SC_CLK_TCK")
            boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
            self._compiled = Compiled(self._folder, self._own_pid, self._owners, boot + ticks)
        return self._compiled.function(address)

    def _start_time(self) -> bytes:
        with open(f"{self._folder}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[_START_TIME]

    def _identify(self) -> None:
        """Reads the process id that it has for itself, which a container makes another, and whose it is."""
        with suppress(OSError), open(f"{self._folder}/status", "rb") as file:
            for line in file:
                word, _, rest = line.partition(b":")
                if word == b"Uid":
                    self._owners = frozenset(map(int, rest.split()))
                elif word == b"NStgid":
                    self._own_pid = int(rest.split()[-1])
