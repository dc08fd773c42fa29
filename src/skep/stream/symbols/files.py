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


class Files:
    """The executables and libraries that processes have mapped, each read once.

    Args:
        complain: is told, once a file, why a file cannot be read.
    """

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        # None: it cannot be read.
        self._by_path: dict[tuple[str, tuple[int, int], int], Executable | None] = {}
        self._by_build_id: dict[str, Executable] = {}
        self._paths: dict[str, str] = {}

    def of(self, mapping: Mapped, root: str) -> Executable | None:
        """The file of a mapping; None if it is gone, another one by now, or no executable.

        Args:
            mapping: of a process.
            root: the folder that the process sees as /, where it can be reached.
        """
        key = (mapping.path, mapping.device, mapping.inode)
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
