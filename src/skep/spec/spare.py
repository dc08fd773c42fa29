"""The structs that an object's BTF keeps although nothing needs them: what people keep so that a loader finds it.

Compilers drop what no code uses. So authors write `const struct event *unused __attribute__((unused));`, as loaders
that generate code ask for, and some loaders write such a pointer themselves.

Source: Documentation/bpf/btf.rst (.BTF.ext: CO-RE relocations).
"""

from __future__ import annotations

import struct

from skep.spec.btf import FUNC, POINTER, STRUCT, UNION, VAR, Btf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from skep.spec.elf import Elf

__all__ = ["spare_types"]

# Who keeps more keeps them for something else.
_MOST = 8
# Of a variable's linkage.
_GLOBAL = 1


def spare_types(elf: Elf, btf: Btf) -> list[int]:
    """The numbers of the structs and unions that serve nothing else.

    First those that a pointer points to which no code uses; if there are none, those that no variable, map, function or
    relocation leads to. None, if they are more than could be meant.

    Args:
        elf: the object.
        btf: its types.

    Raises:
        ObjectFormatError: the object is damaged.
    """
    pointed = {
        _target(btf, number)
        for number in _unused_variables(elf, btf)
        if btf.raw(btf.strip(btf.raw(number).size_or_type)).kind == POINTER
    }
    found = sorted(number for number in pointed if _is_record(btf, number)) or _orphans(elf, btf)
    return found if len(found) <= _MOST else []


def _unused_variables(elf: Elf, btf: Btf) -> Iterable[int]:
    """Those that other objects can see, and no code uses. Where code uses one of the others, it names the section."""
    sections = {section.index for section in elf.sections if not section.name.startswith((".BTF", ".debug"))}
    used = {name for _, _, name, *_ in elf.references(sections)}
    for number in range(1, len(btf)):
        raw = btf.raw(number)
        if raw.kind == VAR and btf.unpack(raw, "I") == (_GLOBAL,) and raw.name not in used:
            yield number


def _target(btf: Btf, variable: int) -> int:
    """What a pointer variable points to, without its qualifiers; a typedef stays, since it may be the only name."""
    target = btf.raw(btf.strip(btf.raw(variable).size_or_type)).size_or_type
    return next((link for link in btf.chain(target) if btf.raw(link).name), target)


def _is_record(btf: Btf, number: int) -> bool:
    raw = btf.raw(btf.strip(number))
    return raw.kind in {STRUCT, UNION} and raw.size_or_type > 0


def _orphans(elf: Elf, btf: Btf) -> list[int]:
    roots = [number for number in range(1, len(btf)) if btf.raw(number).kind in {VAR, FUNC}]
    used = _reached(btf, [*roots, *_relocated(elf)])
    left = [number for number in range(1, len(btf)) if number not in used]
    inner = _reached(btf, [target for number in left for target in btf.references(number)])
    return [
        number
        for number in left
        if number not in inner and btf.raw(number).kind in {STRUCT, UNION} and btf.raw(number).name
    ]


def _reached(btf: Btf, numbers: Iterable[int]) -> set[int]:
    """These types, and all that they lead to."""
    found: set[int] = set()
    waiting = list(numbers)
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += btf.references(number)
    return found


def _relocated(elf: Elf) -> Iterable[int]:
    """The types of the kernel that CO-RE relocations name: BTF keeps them for these."""
    section = elf.by_name.get(".BTF.ext")
    if section is None:
        return
    data, order = bytes(section.data), elf.byte_order
    try:
        # Of the header: its length, and where the relocations start and how long they are, which older ones do not say.
        length, start, size = struct.unpack_from(f"{order}4xI16xII", data)
        if length < 32 or not size:
            return
        position, end = length + start, length + start + size
        (record,) = struct.unpack_from(f"{order}I", data, position)
        position += 4
        while record >= 16 and position < end:
            (count,) = struct.unpack_from(f"{order}4xI", data, position)
            position += 8
            for _ in range(min(count, (end - position) // record)):
                yield struct.unpack_from(f"{order}4xI", data, position)[0]
                position += record
    except struct.error as error:
        raise elf.damaged(f"its .BTF.ext section: {error}") from error
