"""Which source line each instruction was made from: the line information of .BTF.ext.

Source: Documentation/bpf/btf.rst (.BTF.ext section), tools/lib/bpf/libbpf.c (bpf_object__reloc_code): libbpf puts the
functions that a program calls behind it, each where it is called first, and the kernel counts instructions so.
"""

from __future__ import annotations

import re
import struct

from skep.spec.btf import Btf
from skep.spec.code import layout, read_code
from skep.spec.elf import STT_FUNC, Elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["LINES", "RELOCATIONS", "SourceLine", "ext_records", "line_naming", "source_lines"]

# Bytes of an instruction.
_WIDTH = 8
_MAGIC = 0xEB9F
# Bytes of one record.
_RECORD = 16
# Where the header says where its parts are: struct btf_ext_header, include/linux/btf.h.
LINES, RELOCATIONS = 16, 24
# The kernel takes no longer programs.
_MOST_INSTRUCTIONS = 1_000_000


class SourceLine:
    """One line of a source file.

    Args:
        text: the line, with its indentation.
        file: as the compiler was given it; None where that is not known.
        line: its number, from 1; None where that is not known.
        column: from 1; None where the compiler does not say.
    """

    __slots__ = ("column", "file", "line", "text")

    def __init__(self, text: str, file: str | None = None, line: int | None = None, column: int | None = None) -> None:
        self.text = text
        self.file = file
        self.line = line
        self.column = column


def line_naming(lines: Mapping[int, SourceLine], word: str, first: int = 0) -> SourceLine | None:
    """The first line that names something, at or after an instruction; else the line of that instruction.

    The compiler loads the offset of a member before it uses it, with the line of what happens to stand before.

    Args:
        lines: the line of each instruction.
        word: a name of the source.
        first: number of the instruction.
    """
    named = re.compile(rf"\b{re.escape(word)}\b")
    later = (lines[number] for number in sorted(lines) if number >= first)
    return next((line for line in later if named.search(line.text)), lines.get(first))


def source_lines(data: bytes, file: str, program: str) -> Mapping[int, SourceLine]:
    """The line of each instruction of a program, as the kernel counts them: with the functions that it calls.

    Args:
        data: the object.
        file: its name, for messages.
        program: name of the program.

    Returns:
        Nothing where the object has no such program, or says nothing of lines.

    Raises:
        ObjectFormatError: the object is damaged.
    """
    elf = Elf(data, file)
    functions = {(symbol.section, symbol.value): symbol for symbol in elf.symbols if symbol.type == STT_FUNC}
    main = next((place for place, symbol in functions.items() if symbol.name == program), None)
    if main is None or ".BTF" not in elf.by_name or ".BTF.ext" not in elf.by_name:
        return {}
    records = _records(elf, Btf(elf.by_name[".BTF"].data, elf.byte_order, file))
    found: dict[int, SourceLine] = {}
    first = 0
    for place in layout(main, read_code(elf)):
        symbol = functions[place]
        count = symbol.size // _WIDTH
        start, current = place[1] // _WIDTH, None
        lines = records.get(place[0], {})
        for number in range(min(count, _MOST_INSTRUCTIONS - first)):
            current = lines.get(start + number, current)
            if current is not None:
                found[first + number] = current
        first += count
    return found


def _records(elf: Elf, btf: Btf) -> Mapping[int, Mapping[int, SourceLine]]:
    """By section, by instruction in it: the lines that are stated; each holds until the next."""
    found: dict[int, dict[int, SourceLine]] = {}
    for section, where, path, text, place in ext_records(elf, btf, LINES):
        # Line 0: the compiler cannot say.
        if place >> 10:
            line = SourceLine(btf.string(text).rstrip(), btf.string(path), place >> 10, place & 0x3FF or None)
            found.setdefault(section, {})[where // _WIDTH] = line
    return found


def ext_records(elf: Elf, btf: Btf, part: int) -> Iterator[tuple[int, int, int, int, int]]:
    """What .BTF.ext says of instructions: the index of their section, their offset in it, and three numbers more.

    Args:
        elf: the object.
        btf: its types.
        part: `LINES` (file, text, place) or `RELOCATIONS` (type, access, kind).

    Raises:
        ObjectFormatError: the object is damaged.
    """
    data = bytes(elf.by_name[".BTF.ext"].data)
    if len(data) < 8:
        raise elf.damaged("its .BTF.ext is cut short")
    magic, _, _, header = struct.unpack_from(f"{elf.byte_order}HBBI", data)
    if header < part + 8 or len(data) < header:
        if part == RELOCATIONS:
            # Of a compiler that knows of none.
            return
        raise elf.damaged("its .BTF.ext is cut short")
    offset, size = struct.unpack_from(f"{elf.byte_order}II", data, part)
    start, end = header + offset, header + offset + size
    if part == RELOCATIONS and not size:
        return
    if magic != _MAGIC or end > len(data) or size < 4:
        raise elf.damaged("its .BTF.ext does not hold together")
    (width,) = struct.unpack_from(f"{elf.byte_order}I", data, start)
    if width < _RECORD:
        raise elf.damaged("its records are cut short")
    position = start + 4
    while position + 8 <= end:
        name, count = struct.unpack_from(f"{elf.byte_order}II", data, position)
        position += 8
        if position + count * width > end:
            raise elf.damaged("its records are cut short")
        section = elf.by_name.get(btf.string(name))
        for number in range(count if section is not None else 0):
            record = struct.unpack_from(f"{elf.byte_order}IIII", data, position + number * width)
            yield (section.index, *record)  # type: ignore[union-attr]
        position += count * width
