"""Reads eBPF objects: sections and symbols of a little or big endian ELF64 file, every offset checked.

Source: elf(5). The bytes may come from anybody: whatever does not fit raises `ObjectFormatError`.
"""

from __future__ import annotations

import struct
import sys

from skep.base.errors import ObjectFormatError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Elf", "Section", "Symbol"]

_EM_BPF = 247
_MACHINES = {3: "i386", 8: "MIPS", 20: "PowerPC", 22: "s390", 40: "Arm", 62: "x86-64", 183: "arm64", 243: "RISC-V"}

SHT_SYMTAB = 2
SHT_NOBITS = 8
SHF_EXECINSTR = 4
STT_OBJECT = 1
STT_FUNC = 2
STT_SECTION = 3


class Section:
    """One section: `data` is empty for one that takes no room in the file (.bss)."""

    __slots__ = ("data", "flags", "index", "link", "name", "size", "type")

    def __init__(self, name: str, index: int, type: int, flags: int, size: int, link: int, data: memoryview) -> None:  # noqa: A002
        self.name = name
        self.index = index
        self.type = type
        self.flags = flags
        self.size = size
        self.link = link
        self.data = data


class Symbol:
    """One symbol: `section` is the index of the section that it lies in, `value` its offset there."""

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

    Raises:
        ObjectFormatError: not an ELF file, not for eBPF, of the other endianness, or damaged.
    """

    def __init__(self, data: bytes, file: str) -> None:
        self.file = file
        if data[:4] != b"\x7fELF":
            raise ObjectFormatError(f"{file} is not an ELF object", remedy="Give a .bpf.c source or a built .bpf.o.")
        try:
            self._header(data)
            self.sections = self._sections(memoryview(data))
            self.symbols = self._symbols()
        except (struct.error, IndexError, ValueError) as error:
            raise ObjectFormatError(f"{file} is a damaged ELF object: {error}", remedy="Build it again.") from error
        # Of two sections of one name the first counts, as for libbpf.
        self.by_name: Mapping[str, Section] = {section.name: section for section in reversed(self.sections)}

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

    def _sections(self, data: memoryview) -> Sequence[Section]:
        (offset,) = struct.unpack_from(f"{self.byte_order}Q", data, 40)
        entry, count, names = struct.unpack_from(f"{self.byte_order}3H", data, 58)
        if not count:
            raise ValueError("it has no sections")
        if entry != 64:
            raise ValueError(f"its section headers have {entry} bytes, not 64")
        layout = struct.Struct(f"{self.byte_order}IIQQQQIIQQ")
        headers = [layout.unpack_from(data, offset + index * entry) for index in range(count)]
        raw = []
        for header in headers:
            start, size = (0, 0) if header[1] == SHT_NOBITS else header[4:6]
            if start + size > len(data):
                raise ValueError("a section reaches past its end")
            raw.append(data[start : start + size])
        return [
            Section(_string(raw[names], header[0]), index, header[1], header[2], header[5], header[6], raw[index])
            for index, header in enumerate(headers)
        ]

    def _symbols(self) -> Sequence[Symbol]:
        tables = [section for section in self.sections if section.type == SHT_SYMTAB]
        if not tables:
            return []
        names = self.sections[tables[0].link].data
        # Entry 0 is empty by definition.
        return [
            Symbol(_string(names, name), info & 15, section, value, size, is_global=info >> 4 != 0)
            for name, info, _, section, value, size in struct.iter_unpack(f"{self.byte_order}IBBHQQ", tables[0].data)
        ][1:]


def _string(table: memoryview, offset: int) -> str:
    if offset >= len(table):
        raise ValueError("a name lies outside of the table of names")
    # No name in an ELF file is longer; a search to the end for each name would be quadratic in a hostile file.
    return bytes(table[offset : offset + 4096]).partition(b"\0")[0].decode("utf-8", "replace")
