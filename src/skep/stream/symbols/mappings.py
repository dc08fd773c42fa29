"""What processes have mapped and can execute, by address.

Source: proc(5) (/proc/PID/maps).
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Mapped", "Mappings", "read_mappings"]

# As many as the kernel gives a process (vm.max_map_count), unless it is told otherwise.
_MOST = 1 << 16


class Mapped:
    """A file, or memory without one, that a process can execute.

    Args:
        start: its first address.
        end: that behind its last.
        offset: of the first address in the file.
        device: that the file is on, major and minor.
        inode: of the file; 0 for none.
        path: of the file, as the process sees it; or ``[vdso]`` and the like, or "".
    """

    __slots__ = ("device", "end", "inode", "offset", "path", "start")

    def __init__(self, start: int, end: int, offset: int, device: tuple[int, int], inode: int, path: str) -> None:
        self.start = start
        self.end = end
        self.offset = offset
        self.device = device
        self.inode = inode
        self.path = path

    def part(self, start: int, end: int) -> Mapped:
        """What is left between two of its addresses.

        Args:
            start: the first of them.
            end: that behind the last.
        """
        return Mapped(start, end, self.offset + start - self.start, self.device, self.inode, self.path)

    def agrees(self, other: Mapped) -> bool:
        """Whether an address in both is the same place of the same file.

        Args:
            other: of the same process, at another time.
        """
        # Memory without a file holds something else each time, but for what the kernel itself maps.
        return bool(self.inode or self.path) and self._origin() == other._origin()

    def _origin(self) -> tuple[object, ...]:
        # The name of a file may change meanwhile.
        return self.start - self.offset, self.device, self.inode or self.path


class Mappings:
    """Those of one process, none of which overlap. What is beyond 65,536 is left out.

    Args:
        found: they, in the order of their addresses.
    """

    def __init__(self, found: Iterable[Mapped] = ()) -> None:
        self._all = list(found)[:_MOST]
        self._starts = [each.start for each in self._all]

    def __bool__(self) -> bool:
        return bool(self._all)

    def __iter__(self) -> Iterator[Mapped]:
        return iter(self._all)

    def copy(self) -> Mappings:
        """The same, of another process."""
        return Mappings(self._all)

    def at(self, address: int) -> Mapped | None:
        """What is mapped at an address.

        Args:
            address: in the process.
        """
        index = bisect_right(self._starts, address) - 1
        return self._all[index] if index >= 0 and address < self._all[index].end else None

    def map(self, new: Mapped) -> None:
        """Something has been mapped.

        Args:
            new: that, which takes the place of what was there; what it does not cover of that stays.
        """
        begin, end = bisect_right(self._starts, new.start), bisect_left(self._starts, new.end)
        if begin and self._all[begin - 1].end > new.start:
            begin -= 1
        covered = self._all[begin:end]
        pieces = [new]
        if covered and covered[0].start < new.start:
            pieces.insert(0, covered[0].part(covered[0].start, new.start))
        if covered and covered[-1].end > new.end:
            pieces.append(covered[-1].part(new.end, covered[-1].end))
        if len(self._all) - len(covered) + len(pieces) <= _MOST:
            self._all[begin:end] = pieces
            self._starts[begin:end] = [each.start for each in pieces]


def read_mappings(told: bytes) -> Mappings:
    """What /proc/PID/maps tells. Lines that are none are left out.

    Args:
        told: its lines.
    """
    # Names of files are written as they are, but for line breaks.
    return Mappings(filter(None, map(_mapping, told.split(b"\n"))))


def _mapping(line: bytes) -> Mapped | None:
    """What a line tells; None for what cannot be executed."""
    parts = line.split(None, 5)
    if len(parts) < 5 or b"x" not in parts[1]:
        return None
    start, _, end = parts[0].partition(b"-")
    major, _, minor = parts[3].partition(b":")
    path = os.fsdecode(parts[5]).replace("\\012", "\n") if len(parts) > 5 else ""
    try:
        device = int(major, 16), int(minor, 16)
        return Mapped(int(start, 16), int(end, 16), int(parts[2], 16), device, int(parts[4]), path)
    except ValueError:
        return None
