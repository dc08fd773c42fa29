"""Reads what probes need of a program or library: its functions, where they lie in the file, and its USDT probes.

Source: elf(5); for versions of symbols, the Linux Standard Base, Core, chapter "Symbol Versioning"; for USDT probes,
https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation. The file may come from anybody: every place in it is
checked, and what does not fit is an `AttachError`.
"""

from __future__ import annotations

import errno
import os
import struct

from skep.base.errors import AttachError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from mmap import mmap

__all__ = ["FUNCTION", "INDIRECT", "VARIABLE", "Executable", "Place", "Symbol"]

# st_info & 15; an indirect function is chosen when the file is loaded, by a function of that name (STT_GNU_IFUNC).
VARIABLE, FUNCTION, INDIRECT = 1, 2, 10

_NOTES, _SYMBOLS, _DYNAMIC_SYMBOLS = 7, 2, 11
_VERSION_NAMES, _VERSIONS = 0x6FFFFFFD, 0x6FFFFFFF
_HIDDEN_VERSION = 0x8000
_LOADED, _CODE = 1, 1
_KINDS = {2, 3}  # programs, and what is position independent: libraries and most programs
# Names that templates write are long; one that is longer is no name.
_LONGEST_NAME = 8192
_NOTE_OF_PROBE = 3
# Names that end alike, and are looked for one after the other: of more, all symbols are looked at once.
_FEW = 8

# By class, 32 and 64 bits: where the header says what, and how each table is laid out, in the order of 64 bits.
_HEADERS = {1: ("28xII", "42x4H"), 2: ("32xQQ", "54x4H")}
_SEGMENTS = {1: ("8I", (0, 6, 1, 2, 4)), 2: ("2I6Q", (0, 1, 2, 3, 5))}
_SECTIONS = {1: "10I", 2: "2I4Q2I2Q"}
_ENTRIES = {1: ("3I2BH", (0, 3, 5, 1)), 2: ("I2BH2Q", (0, 1, 3, 4))}
_ADDRESSES = {1: "3I", 2: "3Q"}


class Symbol:
    """A function or variable.

    Args:
        name: without its version.
        version: such as ``GLIBC_2.14``; "" if it has none.
        is_default: of several versions, whether programs that are linked now get this one.
        is_global: whether other files see it.
        type: `FUNCTION`, `INDIRECT` or `VARIABLE`.
        address: where it is loaded, before the file as a whole is moved; None: the file only uses it.
    """

    __slots__ = ("address", "is_default", "is_global", "name", "type", "version")

    def __init__(
        self,
        name: str,
        version: str,
        type: int,  # noqa: A002
        address: int | None,
        *,
        is_default: bool,
        is_global: bool,
    ) -> None:
        self.name = name
        self.version = version
        self.is_default = is_default
        self.is_global = is_global
        self.type = type
        self.address = address


class Place:
    """A place of a USDT probe.

    Args:
        address: of the instruction, before the file as a whole is moved.
        semaphore: of the number that says how many look; 0 if it has none.
        arguments: each as the compiler wrote it: ``-4@%edi``.
    """

    __slots__ = ("address", "arguments", "semaphore")

    def __init__(self, address: int, semaphore: int, arguments: list[str]) -> None:
        self.address = address
        self.semaphore = semaphore
        self.arguments = arguments


class _Section:
    __slots__ = ("data", "link", "name", "type")

    def __init__(self, name: int, type: int, link: int, data: memoryview) -> None:  # noqa: A002
        self.name = name
        self.type = type
        self.link = link
        self.data = data


class Executable:
    """A program or library.

    Args:
        data: the whole file.
        path: its path, for messages.

    Raises:
        AttachError: not an ELF file, not one that is executed, or damaged.
    """

    def __init__(self, data: bytes | mmap, path: str) -> None:
        self.path = path
        head = bytes(data[:64])
        if head[:4] != b"\x7fELF":
            raise _unfit(f"{path} is not a program or library (ELF)", _of_script(head))
        if len(head) < 52 or head[4] not in _HEADERS or head[5] not in {1, 2}:
            raise self._damaged()
        self._class = head[4]
        self._order = "<" if head[5] == 1 else ">"
        try:
            if struct.unpack_from(f"{self._order}H", head, 16)[0] not in _KINDS:
                raise _unfit(f"{path} is an ELF file, but neither a program nor a library")
            self._read(memoryview(data))
        except (struct.error, IndexError):
            raise self._damaged() from None

    def _read(self, view: memoryview) -> None:
        places, counts = _HEADERS[self._class]
        at_segments, at_sections = struct.unpack_from(self._order + places, view)
        size, count, section_size, section_count = struct.unpack_from(self._order + counts, view)
        layout, order = _SEGMENTS[self._class]
        table = list(self._table(view, layout, at_segments, size, count))
        segments = [[entry[index] for index in order] for entry in table]
        # (start, end, offset in the file) of what is loaded as code, and as data.
        loaded = [
            (flags & _CODE, (address, address + length, offset))
            for kind, flags, offset, address, length in segments
            if kind == _LOADED
        ]
        self._code = [segment for is_code, segment in loaded if is_code]
        self._data = [segment for is_code, segment in loaded if not is_code]
        self._sections = []
        for entry in self._table(view, _SECTIONS[self._class], at_sections, section_size, section_count):
            name, kind, _, _, offset, size, link, *_ = entry
            data = view[offset : offset + size] if kind != 8 else view[:0]  # SHT_NOBITS
            self._sections.append(_Section(name, kind, link, data))
        names = struct.unpack_from(f"{self._order}H", view, 50 if self._class == 1 else 62)[0]
        self._names = self._sections[names].data if self._sections else view[:0]

    def _table(self, view: memoryview, layout: str, offset: int, size: int, count: int) -> Iterator[tuple[int, ...]]:
        reader = struct.Struct(self._order + layout)
        if count and size != reader.size:
            raise self._damaged()
        return reader.iter_unpack(self._checked(view, offset, count * size))

    def _checked(self, view: memoryview, offset: int, size: int) -> memoryview:
        if offset + size > len(view):
            raise self._damaged()
        return view[offset : offset + size]

    def _damaged(self) -> AttachError:
        return _unfit(f"{self.path} is a damaged ELF file")

    @property
    def is_stripped(self) -> bool:
        """Whether only those functions have a name that other files see."""
        return not any(section.type == _SYMBOLS for section in self._sections)

    def symbols(self, name: str | None = None) -> list[Symbol]:
        """Its functions and variables, and those that it uses.

        Args:
            name: of those that are asked for, without a version; None for all.

        Raises:
            AttachError: the file is damaged.
        """
        try:
            return [
                symbol
                for section in self._sections
                if section.type in {_SYMBOLS, _DYNAMIC_SYMBOLS}
                for symbol in self._symbols_of(section, name)
            ]
        except (struct.error, IndexError):
            raise self._damaged() from None

    def _symbols_of(self, section: _Section, wanted: str | None) -> Iterator[Symbol]:
        names = bytes(self._sections[section.link].data)
        layout, order = _ENTRIES[self._class]
        reader = struct.Struct(self._order + layout)
        at_name, at_info, at_section, at_value = order
        table = bytes(section.data[: len(section.data) // reader.size * reader.size])
        numbered: Iterable[tuple[int, tuple[int, ...]]] = enumerate(reader.iter_unpack(table))
        if wanted is not None:
            places = set(_places(names, os.fsencode(wanted)))
            numbered = (
                [each for each in numbered if each[1][at_name] in places]
                if len(places) > _FEW
                else (
                    # To look at each symbol in turn takes twenty times as long (libc: 3.6 ms, not 0.2).
                    (index, reader.unpack_from(table, index * reader.size))
                    for index in sorted({index for place in places for index in self._named(table, place)})
                )
            )
        versions = self._versions() if section.type == _DYNAMIC_SYMBOLS else {}
        numbers = self._version_numbers() if versions else ()
        for index, entry in numbered:
            kind = entry[at_info] & 15
            name = _text(names, entry[at_name])
            if kind not in {FUNCTION, INDIRECT, VARIABLE} or not name:
                continue
            # The table of a file that is not stripped writes it as NAME@VERSION, and the default one as NAME@@VERSION.
            name, at, version = name.partition("@")
            is_default = not at or version.startswith("@")
            if index < len(numbers):
                number = numbers[index]
                version = versions.get(number & ~_HIDDEN_VERSION, "")
                is_default = not number & _HIDDEN_VERSION
            if wanted is None or name == wanted:
                address = entry[at_value] if entry[at_section] else None
                yield Symbol(
                    name,
                    version.lstrip("@"),
                    kind,
                    address,
                    is_default=is_default,
                    is_global=bool(entry[at_info] >> 4),
                )

    def _named(self, table: bytes, place: int) -> Iterator[int]:
        """Which symbols of a table have the name at a place: it is what each begins with, in both classes."""
        size, number = struct.calcsize(self._order + _ENTRIES[self._class][0]), struct.pack(f"{self._order}I", place)
        found = table.find(number)
        while found >= 0:
            if found % size == 0:
                yield found // size
            found = table.find(number, found + 1)

    def _version_numbers(self) -> tuple[int, ...]:
        """Of each dynamic symbol, the number of its version."""
        for section in self._sections:
            if section.type == _VERSIONS:
                count = len(section.data) // 2
                return struct.unpack_from(f"{self._order}{count}H", section.data)
        return ()

    def _versions(self) -> dict[int, str]:
        """The versions that the file defines, by number."""
        found: dict[int, str] = {}
        for section in self._sections:
            if section.type != _VERSION_NAMES:
                continue
            names, place = bytes(self._sections[section.link].data), 0
            while True:
                _, _, number, _, _, first, following = struct.unpack_from(f"{self._order}4H3I", section.data, place)
                name = struct.unpack_from(f"{self._order}I", section.data, place + first)[0]
                found[number] = _text(names, name)
                # Only forwards: a damaged chain comes to its end, too.
                if not following:
                    break
                place += following
        return found

    def offset(self, address: int) -> int | None:
        """Where in the file an address of its code lies; None if that is no code.

        Args:
            address: as ``nm`` and ``objdump -d`` print it.
        """
        return _offset(self._code, address)

    def counter(self, offset: int) -> int:
        """Where in the file the semaphore lies of the USDT probe at a place; 0 where no probe is, or it has none.

        Args:
            offset: of the probe's instruction, in the file.
        """
        for places in self.probes().values():
            for place in places:
                if place.semaphore and self.offset(place.address) == offset:
                    return _offset(self._data, place.semaphore) or 0
        return 0

    def probes(self) -> Mapping[str, list[Place]]:
        """The USDT probes, as ``provider:name``, and the places of each.

        Raises:
            AttachError: the file is damaged.
        """
        found: dict[str, list[Place]] = {}
        header = struct.Struct(f"{self._order}3I")
        addresses = struct.Struct(self._order + _ADDRESSES[self._class])
        for section in self._sections:
            if section.type != _NOTES or _text(bytes(self._names), section.name) != ".note.stapsdt":
                continue
            data, place = bytes(section.data), 0
            while place + header.size <= len(data):
                name_size, size, kind = header.unpack_from(data, place)
                start = place + header.size + _aligned(name_size)
                note = data[start : start + size]
                texts = [text.decode("utf-8", "replace") for text in note[addresses.size :].split(b"\0")]
                if kind == _NOTE_OF_PROBE and len(note) == size and len(texts) > 2:
                    address, _, semaphore = addresses.unpack_from(note)
                    probe = f"{texts[0]}:{texts[1]}"
                    found.setdefault(probe, []).append(Place(address, semaphore, texts[2].split()))
                place = start + _aligned(size)
        return found


def _offset(segments: Iterable[tuple[int, int, int]], address: int) -> int | None:
    """Where in the file an address of one of these segments lies."""
    for start, end, offset in segments:
        if start <= address < end:
            return address - start + offset
    return None


def _aligned(size: int) -> int:
    return size + 3 & ~3


def _places(names: bytes, wanted: bytes) -> Iterable[int]:
    """Where a name begins in a table of names: one may be the end of another; a version may follow."""
    for end in (b"\0", b"@"):
        place = names.find(wanted + end)
        while place >= 0:
            yield place
            place = names.find(wanted + end, place + 1)


def _text(names: bytes, place: int) -> str:
    """A name of a table; "" where there is none."""
    end = names.find(b"\0", place, place + _LONGEST_NAME)
    return names[place:end].decode("utf-8", "replace") if end >= 0 else ""


def _of_script(head: bytes) -> str | None:
    if not head.startswith(b"#!"):
        return None
    interpreter = head[2:].partition(b"\n")[0].strip().decode("utf-8", "replace")
    return f"It is a script: what runs is {interpreter}."


def _unfit(message: str, remedy: str | None = None) -> AttachError:
    return AttachError(message, errno.ENOEXEC, remedy=remedy)
