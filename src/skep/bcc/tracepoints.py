"""The structs of tracepoints, as BCC's dialect knows them: `struct tracepoint__CATEGORY__EVENT`.

Minimum kernel: 4.7. Source: Documentation/trace/events.rst (the format files), kernel/trace/trace_events.c.
"""

from __future__ import annotations

import os
import re

from skep.base.errors import HookMissingError
from skep.base.nearest import nearest

__all__ = ["find_structs", "struct_of"]

_FIELD = re.compile(r"\tfield:(.*?);\toffset:(\d+);\tsize:(\d+);\tsigned:(\d+);")
_ELEMENTS = {
    1: {"char", "unsigned char", "signed char", "u8", "__u8", "bool"},
    2: {"short", "unsigned short", "u16", "__u16", "__be16"},
    4: {"int", "unsigned int", "u32", "__u32", "__be32", "pid_t"},
    8: {"long", "unsigned long", "u64", "__u64", "s64", "long long", "unsigned long long"},
}
_WIDTHS = {1: "char", 2: "short", 4: "int", 8: "long long"}


def find_structs(text: str) -> list[tuple[str, str]]:
    """The tracepoints whose structs a text names: category and event.

    Args:
        text: in C.
    """
    return sorted(set(re.findall(r"\bstruct\s+tracepoint__(\w+?)__(\w+)", text)))


def struct_of(category: str, event: str, tracefs: str) -> str:
    """The struct of a tracepoint, in C.

    Args:
        category: such as ``sched``.
        event: such as ``sched_switch``.
        tracefs: where tracefs is mounted.

    Raises:
        HookMissingError: this kernel has no such tracepoint.
    """
    folder = os.path.join(tracefs, "events", category)
    try:
        with open(os.path.join(folder, event, "format"), encoding="utf-8") as file:
            said = file.read()
    except OSError as error:
        with os.scandir(folder if os.path.isdir(folder) else os.path.dirname(folder)) as entries:
            known = [entry.name for entry in entries if entry.is_dir()]
        near = nearest(event if os.path.isdir(folder) else category, known, "tracepoints")
        raise HookMissingError(f"this kernel has no tracepoint {category}:{event}", remedy=near) from error
    members, at = ["u64 __do_not_use__;"], 8
    for declaration, offset, size, signed in _FIELD.findall(said):
        begin, length = int(offset), int(size)
        if begin < 8:  # of every tracepoint, and not for programs
            continue
        if begin > at:
            members.append(f"char __pad_{at}[{begin - at}];")
        members.append(_member(declaration, length, signed == "1"))
        at = begin + length
    # Where fields lie is said by the kernel: nothing is to be moved.
    return f"struct tracepoint__{category}__{event} {{ {' '.join(members)} }} __attribute__((packed));"


def _member(declaration: str, size: int, signed: bool) -> str:
    type_, name, count = re.match(r"(.*?)(\w+)((?:\[\w*\])?)$", declaration).groups()  # type: ignore[union-attr]
    type_ = type_.strip()
    if type_.startswith(("__data_loc", "__rel_loc")):
        return f"int data_loc_{name};"
    if count:
        # The number in brackets may be a name that is known to the kernel alone: the size tells how many there are.
        width = next((width for width, names in _ELEMENTS.items() if type_ in names), None)
        if width is not None:
            return f"{type_} {name}[{size // width}];"
        return f"{type_} {name}{count};" if count[1:-1].isdecimal() else f"char {name}[{size}];"
    if "*" in type_ or size not in _WIDTHS:
        return f"{type_} {name};"
    return f"{'' if signed else 'unsigned '}{_WIDTHS[size]} {name};"
