"""The functions of an executable or a shared library: ELF of 32 or 64 bits, in this machine's byte order.

The file may be anybody's, damaged, or made to exhaust whoever reads it: what does not fit is left out, and what is too
large is an `OSError` or a `ValueError`. It is read and never mapped: one that is cut short meanwhile ends nobody.

Source: elf(5).
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from bisect import bisect_right

from skep.spec.elf import find_build_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Executable"]

_ORDER = {"little": 1, "big": 2}[sys.byteorder]
_PT_LOAD, _PT_NOTE = 1, 4
_SHT_SYMTAB, _SHT_DYNSYM = 2, 11
_STT_FUNC, _STT_GNU_IFUNC = 2, 10
# By class, 32 and 64 bits: the header behind its first 16 bytes, a segment, a section, a symbol; the bits of the words.
_LAYOUTS = {
    1: ("=HHIIIIIHHHHHH", "=IIIIIIII", "=IIIIIIIIII", "=IIIBBH"),
    2: ("=HHIQQQIHHHHHH", "=IIQQQQQQ", "=IIQQQQIIQQ", "=IBBHQQ"),
}
# A million functions, and what they are called.
_LARGEST_SYMBOLS = 1 << 25
_LARGEST_NAMES = 1 << 27
_LARGEST_NOTE = 1 << 20
_LONGEST_NAME = 1 << 14
_WORD = (1 << 64) - 1


class Executable:
    """What is known of one file.

    Args:
        fd: of the file; it can be closed afterwards.

    Attributes:
        build_id: in hexadecimal digits; "" if it has none.
        memory: that its functions take, in bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file, damaged, or too large.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        head = self._read(0, 64)
        if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in _LAYOUTS or head[5] != _ORDER:
            raise ValueError("it is no executable of this machine")
        self._layouts = [struct.Struct(layout) for layout in _LAYOUTS[head[4]]]
        self._is_32 = head[4] == 1
        header = self._layouts[0]
        if len(head) < 16 + header.size:
            raise ValueError("it is cut short")
        # Behind the entry point: where segments and sections are told of; then how large each telling is, and how many.
        told = header.unpack_from(head, 16)
        segments = list(self._table(self._layouts[1], told[4], told[8], told[9]))
        self._loaded = self._places(segments)
        self.build_id = self._identity(segments)
        self._sections = (told[5], told[10], told[11])
        self._starts: array[int] = array("Q")
        self._sizes: array[int] = array("Q")
        self._at: array[int] = array("I")
        self._names = b""
        self._load()
        arrays = self._starts, self._sizes, self._at
        self.memory = len(self._names) + sum(len(each) * each.itemsize for each in arrays)

    def _read(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._fd, size, offset)
        except OverflowError:
            raise ValueError("it points to where no file reaches") from None

    def _table(self, layout: struct.Struct, offset: int, size: int, count: int) -> Iterator[tuple[int, ...]]:
        if not count:
            return
        if size != layout.size:
            raise ValueError(f"its headers have {size} bytes, not {layout.size}")
        data = self._read(offset, size * count)
        yield from layout.iter_unpack(data[: len(data) - len(data) % size])

    def _places(self, segments: list[tuple[int, ...]]) -> list[tuple[int, int, int]]:
        """Of what is loaded: its offset in the file, its size there, and its address."""
        if self._is_32:
            return [(offset, size, address) for kind, offset, address, _, size, *_ in segments if kind == _PT_LOAD]
        return [(offset, size, address) for kind, _, offset, address, _, size, *_ in segments if kind == _PT_LOAD]

    def _identity(self, segments: list[tuple[int, ...]]) -> str:
        for segment in segments:
            if segment[0] != _PT_NOTE:
                continue
            offset, size = (segment[1], segment[4]) if self._is_32 else (segment[2], segment[5])
            found = find_build_id(self._read(offset, min(size, _LARGEST_NOTE)))
            if found:
                return found
        return ""

    def _load(self) -> None:
        """Reads the functions: of the full table of symbols, else of those that are there for linking."""
        sections = list(self._table(self._layouts[2], *self._sections))
        for wanted in (_SHT_SYMTAB, _SHT_DYNSYM):
            for section in sections:
                if section[1] == wanted and section[6] < len(sections):
                    names = sections[section[6]]
                    self._take(*section[4:6], *names[4:6])
                    if self._starts:
                        return

    def _take(self, offset: int, size: int, names: int, names_size: int) -> None:
        if size > _LARGEST_SYMBOLS or names_size > _LARGEST_NAMES:
            raise ValueError("its symbols are more than any program has")
        layout = self._layouts[3]
        data = self._read(offset, size)
        found = []
        for symbol in layout.iter_unpack(data[: len(data) - len(data) % layout.size]):
            name, info, section, address, length = (
                (symbol[0], symbol[3], symbol[5], symbol[1], symbol[2])
                if self._is_32
                else (symbol[0], symbol[1], symbol[3], symbol[4], symbol[5])
            )
            if section and name and info & 15 in {_STT_FUNC, _STT_GNU_IFUNC}:
                # One number each, since there may be many. Of several names for one address the global one comes last,
                # and is taken.
                found.append(address << 97 | (info >> 4 == 1) << 96 | length << 32 | name)
        found.sort()
        self._starts = array("Q", [each >> 97 for each in found])
        self._sizes = array("Q", [each >> 32 & _WORD for each in found])
        self._at = array("I", [each & 0xFFFF_FFFF for each in found])
        self._names = self._read(names, names_size) if found else b""

    def address(self, offset: int) -> int | None:
        """Where a place in the file is loaded to, as the file says it; None if it is not.

        Args:
            offset: in bytes.
        """
        for start, size, address in self._loaded:
            if start <= offset < start + size:
                return address + offset - start
        return None

    def function(self, offset: int) -> str | None:
        """The function at a place in the file; None if none is known.

        Args:
            offset: in bytes.
        """
        found = self.find(offset)
        return found[0] if found is not None else None

    def find(self, offset: int) -> tuple[str, int] | None:
        """The same, with how many bytes behind its begin the place is.

        Args:
            offset: in bytes.
        """
        address = self.address(offset)
        if address is None:
            return None
        index = bisect_right(self._starts, address) - 1
        # One without a size reaches to the next.
        if index < 0 or 0 < self._sizes[index] <= address - self._starts[index]:
            return None
        start = self._at[index]
        end = self._names.find(b"\0", start, start + _LONGEST_NAME)
        name = self._names[start:end].decode("utf-8", "surrogateescape") if end >= 0 else ""
        return (name, address - self._starts[index]) if name else None
