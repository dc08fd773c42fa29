"""The executables and libraries that processes have mapped."""

from __future__ import annotations

import os

from skep.stream.symbols.executable import Executable
from skep.stream.symbols.opening import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.stream.symbols.mappings import Mapped

__all__ = ["Files"]


# What all files together may take, in bytes, and what each takes besides its functions.
_BUDGET = 1 << 28
_EACH = 1 << 12
_COMPLAINTS = 10
# Bytes of build ids in records, in hexadecimal digits: shorter ones have zeros behind them (include/linux/buildid.h).
_DIGITS = 40


class Files:
    """The executables and libraries that processes have mapped, each read once, when it is first asked for.

    Args:
        complain: is told why a file cannot be read, once a file, and of ten at most.
    """

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._complaints = 0
        self._left = _BUDGET
        # None: it is no executable.
        self._read: dict[tuple[str, tuple[int, int], int], Executable | None] = {}
        self._by_build_id: dict[str, tuple[Executable, str]] = {}

    def of(self, mapping: Mapped, root: str) -> Executable | None:
        """The file of a mapping; None if it is gone, another one by now, or no executable.

        Args:
            mapping: of a process.
            root: the folder that the process sees as /, where it can be reached.
        """
        key = (mapping.path, mapping.device, mapping.inode)
        if key not in self._read:
            fd = _open(mapping, root)
            if fd is None:
                return None  # another process may reach it
            try:
                self._read[key] = self._load(fd, mapping.path)
            finally:
                os.close(fd)
        return self._read[key]

    def by_build_id(self, build_id: str) -> tuple[Executable | None, str]:
        """The file with a build id that was read first, and its path; None and "" if there is none.

        Args:
            build_id: as records hold it, in hexadecimal digits.
        """
        return self._by_build_id.get(build_id, (None, ""))

    def _load(self, fd: int, path: str) -> Executable | None:
        if self._left <= 0:
            return None
        self._left -= _EACH
        found = None
        try:
            found = Executable(fd)
        except (OSError, ValueError) as error:
            self._say(f"{path}: its functions have no names: {error}")
        else:
            self._left -= found.memory
            if found.build_id:
                # Anybody can claim any: what was found stays that of its own path.
                self._by_build_id.setdefault(found.build_id.ljust(_DIGITS, "0"), (found, path))
        if self._left <= 0:
            self._complain(f"the functions of more files have no names: those of others take {_BUDGET >> 20} MiB")
        return found

    def _say(self, complaint: str) -> None:
        self._complaints += 1
        if self._complaints <= _COMPLAINTS:
            self._complain(complaint)
        elif self._complaints == _COMPLAINTS + 1:
            self._complain("the functions of more files have no names; they are not told one by one")


def _open(mapping: Mapped, root: str) -> int | None:
    """The file of a mapping; None where it cannot be reached, or is another one."""
    for folder in (root, "/"):
        try:
            fd = open_regular(folder, mapping.path)
        except OSError:
            continue
        if os.fstat(fd).st_ino == mapping.inode:
            return fd
        os.close(fd)
    return None
