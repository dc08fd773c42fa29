"""What a program needs of a kernel's types (CO-RE): the relocations of .BTF.ext.

Source: include/uapi/linux/bpf.h (struct bpf_core_relo, enum bpf_core_relo_kind), tools/lib/bpf/relo_core.c.
"""

from __future__ import annotations

import re

from skep.spec.btf import ARRAY, ENUM, ENUM64, STRUCT, UNION, Btf
from skep.spec.code import layout, read_code
from skep.spec.elf import STT_FUNC, Elf
from skep.spec.lines import RELOCATIONS, ext_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Need", "needs"]

_WIDTH = 8
# enum bpf_core_relo_kind: what asks whether something is there, and what is about the object's own types.
_ASKS = {2, 8, 10, 12}
_LOCAL = 6
_WORDS = {STRUCT: "struct", UNION: "union", ENUM: "enum", ENUM64: "enum"}


class Need:
    """One thing that the kernel's types have to have.

    Args:
        instruction: its number in the program, as the kernel counts.
        kind: ``struct``, ``union`` or ``enum``.
        type: name of the type.
        member: of it, or of the structs within it: by the type that it is in; "" where the type will do.
    """

    __slots__ = ("instruction", "kind", "member", "type")

    def __init__(self, instruction: int, kind: str, type: str, member: str) -> None:  # noqa: A002
        self.instruction = instruction
        self.kind = kind
        self.type = type
        self.member = member


def needs(data: bytes, file: str, program: str) -> Sequence[Need]:
    """What a program needs, but for what it asks for first (`bpf_core_field_exists` and the like).

    Args:
        data: the object.
        file: its name, for messages.
        program: name of the program.

    Raises:
        ObjectFormatError: the object is damaged.
    """
    elf = Elf(data, file)
    if ".BTF" not in elf.by_name or ".BTF.ext" not in elf.by_name:
        return ()
    btf = Btf(elf.by_name[".BTF"].data, elf.byte_order, file)
    functions = {(symbol.section, symbol.value): symbol for symbol in elf.symbols if symbol.type == STT_FUNC}
    main = next((place for place, symbol in functions.items() if symbol.name == program), None)
    records = list(ext_records(elf, btf, RELOCATIONS))
    found: list[Need] = []
    asked: set[tuple[str, str]] = set()
    first = 0
    for place in layout(main, read_code(elf)) if main is not None else ():
        symbol = functions[place]
        for section, offset, number, access, kind in records:
            if section == place[0] and place[1] <= offset < place[1] + symbol.size and kind != _LOCAL:
                instruction = first + (offset - place[1]) // _WIDTH
                path = _walk(btf, number, btf.string(access), instruction)
                if kind in _ASKS:
                    asked |= {(need.type, need.member) for need in path}
                else:
                    found += path
        first += symbol.size // _WIDTH
    return [need for need in found if (need.type, need.member) not in asked]


def _walk(btf: Btf, number: int, access: str, instruction: int) -> list[Need]:
    """The type, and each member on the way: ``0:3:1`` is the second member of the fourth of what is pointed to."""
    raw = btf.raw(btf.strip(number))
    steps = [int(step) for step in access.split(":") if step.isdecimal()]
    if raw.kind not in _WORDS:
        return []
    owner, word = _essential(raw.name), _WORDS[raw.kind]
    found = [Need(instruction, word, owner, "")] if owner else []
    if raw.kind in {ENUM, ENUM64}:
        entries = list(btf.entries(raw, "III" if raw.kind == ENUM64 else "II"))
        if steps and steps[0] < len(entries):
            found.append(Need(instruction, word, owner, _essential(btf.string(entries[steps[0]][0]))))
        return found
    for step in steps[1:]:
        if raw.kind == ARRAY:
            inside = btf.unpack(raw, "III")[0]
        else:
            members = list(btf.entries(raw, "III")) if raw.kind in {STRUCT, UNION} else []
            if step >= len(members):
                break
            name, inside, _ = members[step]
            if btf.string(name) and owner:
                found.append(Need(instruction, word, owner, btf.string(name)))
        raw = btf.raw(btf.strip(inside))
        # What has no name is a part of what it stands in, unless a typedef names it: of that nothing is asked.
        if raw.kind in {STRUCT, UNION} and (raw.name or btf.strip(inside) != inside):
            owner, word = _essential(raw.name), _WORDS[raw.kind]
    return found


def _essential(name: str) -> str:
    """A name without what tells the file's own versions of a type apart: ``task_struct___old``."""
    return re.sub(r"___.*$", "", name)
