"""Reads eBPF objects: sections and symbols of a little or big endian ELF64 file, every offset checked.

Source: elf(5). The bytes may come from anybody: whatever does not fit raises `ObjectFormatError`. Sections do not
overlap, and neither do the symbols of one; so whoever reads the bytes of each reads no more than the file.
"""

from __future__ import annotations

import struct
import sys

from skep.base.errors import ObjectFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["Elf", "Section", "Symbol", "find_build_id"]

# Bytes of the file's header.
_HEADER = 64
_EM_BPF = 247
_MACHINES = {3: "i386", 8: "MIPS", 20: "PowerPC", 22: "s390", 40: "Arm", 62: "x86-64", 183: "arm64", 243: "RISC-V"}

SHT_SYMTAB = 2
SHT_NOBITS = 8
SHT_REL = 9
SHF_EXECINSTR = 4
STT_OBJECT = 1
STT_FUNC = 2

# The kernel takes no longer name (KSYM_NAME_LEN), and no program has nearly as many functions and variables.
_LONGEST_NAME = 512
_MOST_SYMBOLS = 1 << 12


class Section:
    """One section.

    Args:
        name: such as ``.rodata``.
        index: its number.
        type: SHT_*.
        flags: SHF_*.
        size: in bytes, when loaded.
        link: the number of the section that goes with it: the names, for symbols.
        info: the number of the section that relocations change.
        data: its bytes; none for one that takes no room in the file (.bss).
    """

    __slots__ = ("data", "flags", "index", "info", "link", "name", "size", "type")

    def __init__(
        self,
        name: str,
        index: int,
        type: int,  # noqa: A002
        flags: int,
        size: int,
        link: int,
        info: int,
        data: memoryview,
    ) -> None:
        self.name = name
        self.index = index
        self.type = type
        self.flags = flags
        self.size = size
        self.link = link
        self.info = info
        self.data = data


class Symbol:
    """One function or variable.

    Args:
        name: as in C.
        type: STT_FUNC or STT_OBJECT.
        section: the number of the section that it lies in.
        value: its offset there, in bytes.
        size: in bytes.
        is_global: can other objects see it?
    """

    __slots__ = ("is_global", "name", "section", "size", "type", "value")

    def __init__(self, name: str, type: int, section: int, value: int, size: int, *, is_global: bool) -> None:  # noqa: A002
        self.name = name
        self.type = type
        self.section = section
        self.value = value
        self.size = size
        self.is_global = is_global


class Elf:
    """An eBPF object file.

    Args:
        data: the whole file.
        file: its name, for messages.

    Attributes:
        byte_order: ``<`` or ``>``, as for `struct`; it is this machine's.
        sections: by number.
        by_name: of two sections of one name the first, as for libbpf.
        symbols: the functions and variables that the object defines.

    Raises:
        ObjectFormatError: not an ELF file, not for eBPF, of the other endianness, or damaged.
    """

    def __init__(self, data: bytes, file: str) -> None:
        self.file = file
        if data[:4] != b"\x7fELF":
            raise ObjectFormatError(f"{file} is not an ELF object", remedy="Give a .bpf.c source or a built .bpf.o.")
        if len(data) < _HEADER:
            raise self.damaged("it is cut short")
        self._header(data)
        self.sections = self._sections(data)
        self.by_name: Mapping[str, Section] = {section.name: section for section in reversed(self.sections)}
        self.symbols = self._symbols()

    def damaged(self, why: str) -> ObjectFormatError:
        """The error to raise where the object does not hold together."""
        return ObjectFormatError(f"{self.file} is a damaged object: {why}", remedy="Build it again.")

    def data(self, symbol: Symbol) -> memoryview:
        """The bytes of a symbol."""
        return self.sections[symbol.section].data[symbol.value : symbol.value + symbol.size]

    def _header(self, data: bytes) -> None:
        order = {1: "little", 2: "big"}.get(data[5])
        if data[4] != 2 or order is None:
            raise ObjectFormatError(f"{self.file} is not a 64-bit ELF object; eBPF objects are")
        self.byte_order = "<" if order == "little" else ">"
        machine = struct.unpack_from(f"{self.byte_order}H", data, 18)[0]
        if machine != _EM_BPF:
            name = _MACHINES.get(machine, f"machine {machine}")
            raise ObjectFormatError(
                f"{self.file} is an object for {name}, not for eBPF", remedy="Compile it with clang -target bpf."
            )
        if order != sys.byteorder:
            raise ObjectFormatError(
                f"{self.file} is a {order} endian object and this machine is {sys.byteorder} endian",
                remedy=f"Build it for this machine: clang -target bpf{'eb' if sys.byteorder == 'big' else 'el'}.",
            )

    def _sections(self, data: bytes) -> Sequence[Section]:
        (offset,) = struct.unpack_from(f"{self.byte_order}Q", data, 40)
        entry, count, names = struct.unpack_from(f"{self.byte_order}3H", data, 58)
        layout = struct.Struct(f"{self.byte_order}IIQQQQIIQQ")
        if not count or entry != layout.size:
            raise self.damaged(f"it has {count} section headers of {entry} bytes")
        if offset + count * entry > len(data):
            raise self.damaged("it is cut short")
        headers = [layout.unpack_from(data, offset + index * entry) for index in range(count)]
        view = memoryview(data)
        raw = []
        for _, kind, _, _, start, size, *_ in headers:
            end = start if kind == SHT_NOBITS else start + size
            if end > len(data) and kind != SHT_NOBITS:
                raise self.damaged("a section reaches past its end")
            raw.append(view[start:end])
        if sum(map(len, raw)) > len(data):
            raise self.damaged("its sections overlap")
        if names >= count:
            raise self.damaged("its sections have no names")
        table = bytes(raw[names])
        return [
            Section(self._string(table, name), index, kind, flags, size, link, info, raw[index])
            for index, (name, kind, flags, _, _, size, link, info, *_) in enumerate(headers)
        ]

    def references(self, sections: Collection[int]) -> Sequence[tuple[int, int, str, int, int]]:
        """Where some sections name a map, a variable or a function, or only the section that it lies in.

        Args:
            sections: their numbers. Those for debuggers have a hundred times as many references as code has.

        Returns:
            (number of the section, offset in it, the name, and where that is defined: number of the section, offset).
        """
        table = self._symbol_table()
        if table is None:
            return []
        names = bytes(self.sections[table.link].data)
        entry, symbol = struct.Struct(f"{self.byte_order}QQ"), struct.Struct(f"{self.byte_order}I2xHQ8x")
        found = []
        # Many relocations name the same symbol.
        known: dict[int, tuple[str, int, int]] = {}
        for section in self.sections:
            if section.type != SHT_REL or section.info not in sections:
                continue
            if len(section.data) % entry.size:
                raise self.damaged("its relocations are cut short")
            # Each changes four bytes at least.
            if len(section.data) // entry.size > len(self.sections[section.info].data) // 4:
                raise self.damaged("it has more relocations than there is to relocate")
            for offset, info in entry.iter_unpack(section.data):
                number = info >> 32
                if number not in known:
                    if (number + 1) * symbol.size > len(table.data):
                        raise self.damaged("a relocation names a symbol that is not there")
                    name, home, value = symbol.unpack_from(table.data, number * symbol.size)
                    known[number] = self._string(names, name), home, value
                found.append((section.info, offset, *known[number]))
        return found

    def _symbol_table(self) -> Section | None:
        return next((section for section in self.sections if section.type == SHT_SYMTAB), None)

    def _symbols(self) -> Sequence[Symbol]:
        table = self._symbol_table()
        if table is None:
            return []
        layout = struct.Struct(f"{self.byte_order}IBBHQQ")
        if len(table.data) % layout.size or table.link >= len(self.sections):
            raise self.damaged("its table of symbols")
        names = bytes(self.sections[table.link].data)
        room = [section.size for section in self.sections]
        found = []
        for name, info, _, section, value, size in layout.iter_unpack(table.data):
            # Section 0 is "defined elsewhere"; the numbers from 0xff00 are no sections.
            if info & 15 not in {STT_OBJECT, STT_FUNC} or not 0 < section < len(room):
                continue
            symbol = Symbol(self._string(names, name), info & 15, section, value, size, is_global=info >> 4 != 0)
            room[section] -= size
            if value + size > self.sections[section].size or room[section] < 0:
                raise self.damaged(f"{symbol.name} does not fit into its section")
            found.append(symbol)
            if len(found) > _MOST_SYMBOLS:
                raise self.damaged(f"it has more than {_MOST_SYMBOLS} symbols")
        return found

    def _string(self, table: bytes, offset: int) -> str:
        end = table.find(b"\0", offset, offset + _LONGEST_NAME)
        if end < 0:
            raise self.damaged("a name lies outside of the table of names")
        return table[offset:end].decode("utf-8", "replace")


def find_build_id(notes: bytes) -> str | None:
    """The GNU build id among notes in this machine's byte order; None if there is none (elf(5), Nhdr)."""
    position = 0
    while position + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("=3I", notes, position)
        name = position + 12
        start = name + (name_size + 3 & ~3)
        if kind == 3 and notes[name : name + name_size] == b"GNU\0":
            return notes[start : start + size].hex()
        position = start + (size + 3 & ~3)
    return None
