"""Reads a kernel file's source with libclang: which type each ring carries, and what the doc comments say.

The answer is the `.skep` document, a plain dict that travels in the object (see `skep.spec.document`). libclang takes 25
ms to import and 60 MB: this module is imported only when a source is compiled.
"""

from __future__ import annotations

import os
import re

from clang.cindex import Cursor, CursorKind, Index, TranslationUnit, TypeKind
from clang.cindex import Type as ClangType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

__all__ = ["Reading", "read_source"]

# Calls that carry a record: name -> (argument that is the map, argument that points to the record).
_OUTPUTS = {
    "bpf_ringbuf_output": (0, 1),
    "bpf_perf_event_output": (1, 3),
    "bpf_skb_output": (1, 3),
    "bpf_xdp_output": (1, 3),
}
_RESERVE = "bpf_ringbuf_reserve"
_TRANSPARENT = {CursorKind.UNEXPOSED_EXPR, CursorKind.PAREN_EXPR, CursorKind.CSTYLE_CAST_EXPR}


class Reading:
    """What a source says.

    Args:
        document: the `.skep` document.
        inputs: every file that was read beside the source itself, absolute.
    """

    __slots__ = ("document", "inputs")

    def __init__(self, document: dict[str, Any], inputs: list[str]) -> None:
        self.document = document
        self.inputs = inputs


def read_source(source: str, arguments: Sequence[str]) -> Reading:
    """Parses a source and collects its event types and doc comments.

    Args:
        source: path of the .bpf.c file.
        arguments: the compiler's, without input and output.

    A source with errors is read as far as it goes: the compiler, which comes next, says what is wrong with it.
    """
    unit = Index.create().parse(source, args=list(arguments))
    folder = os.path.dirname(os.path.abspath(source))
    events: dict[str, list[str]] = {}
    notes: dict[str, str] = {}
    for cursor in unit.cursor.get_children():
        file = cursor.location.file
        # Helpers may stand in headers beside the source; those of the system hold no program.
        if file is None or not os.path.abspath(file.name).startswith(folder + os.sep):
            continue
        if cursor.kind == CursorKind.VAR_DECL and cursor.raw_comment:
            notes[cursor.spelling] = _comment(cursor.raw_comment)
        elif cursor.kind == CursorKind.FUNCTION_DECL and cursor.is_definition():
            for ring, name in _records(cursor):
                if name not in events.setdefault(ring, []):
                    events[ring].append(name)
    for name, text in notes.items():
        annotated = re.findall(r"@event\s+(\w[\w ]*)", text)
        if annotated:
            events[name] = [kind.strip() for kind in annotated]
    document = {"version": 1, "events": events, "notes": notes}
    return Reading(document, _inputs(unit))


def _inputs(unit: TranslationUnit) -> list[str]:
    return sorted({os.path.abspath(included.include.name) for included in unit.get_includes()})


def _comment(raw: str) -> str:
    """The words of a `///` or `/** */` comment."""
    lines = [re.sub(r"^\s*(///<?|/\*\*<?|\*/|\*)\s?|\s*\*/\s*$", "", line) for line in raw.splitlines()]
    return "\n".join(lines).strip()


def _records(function: Cursor) -> Iterator[tuple[str, str]]:
    """(ring, type) of every record that a function reserves or sends."""
    # The type of a reserved record stands around the call (what it is assigned to): hence the enclosing expression.
    pending: list[tuple[Cursor, ClangType | None]] = [(function, None)]
    while pending:
        cursor, wanted = pending.pop()
        if cursor.kind == CursorKind.CALL_EXPR:
            record = _record(cursor, wanted)
            if record is not None:
                yield record
        inner = wanted if cursor.kind in _TRANSPARENT else None
        if cursor.kind in _TRANSPARENT and cursor.type.kind == TypeKind.POINTER and inner is None:
            inner = cursor.type
        pending += [(child, inner) for child in cursor.get_children()]


def _record(call: Cursor, wanted: ClangType | None) -> tuple[str, str] | None:
    arguments = list(call.get_arguments())
    name = call.spelling
    if name == _RESERVE and len(arguments) == 3:
        ring = _variable(arguments[0])
        found = _pointee(wanted) or _operand_of_sizeof(arguments[1])
        return (ring, found) if ring and found else None
    if name in _OUTPUTS and len(arguments) > max(_OUTPUTS[name]):
        ring = _variable(arguments[_OUTPUTS[name][0]])
        found = _pointee(_strip(arguments[_OUTPUTS[name][1]]).type)
        return (ring, found) if ring and found else None
    return None


def _strip(cursor: Cursor) -> Cursor:
    """The expression behind parentheses and casts to and from `void *`."""
    while cursor.kind in _TRANSPARENT:
        inner = [child for child in cursor.get_children() if child.kind.is_expression()]
        if len(inner) != 1:
            break
        cursor = inner[0]
    return cursor


def _variable(cursor: Cursor) -> str | None:
    """The map in `&map`."""
    cursor = _strip(cursor)
    if cursor.kind == CursorKind.UNARY_OPERATOR:
        cursor = _strip(next(cursor.get_children()))
    return cursor.spelling if cursor.kind == CursorKind.DECL_REF_EXPR else None


def _pointee(type_: ClangType | None) -> str | None:
    """The name of the type that a pointer or array leads to; None for `void *`."""
    if type_ is None:
        return None
    if type_.kind == TypeKind.POINTER:
        target = type_.get_pointee()
    elif type_.kind == TypeKind.CONSTANTARRAY:
        target = type_.element_type
    else:
        return None
    if target.get_canonical().kind == TypeKind.VOID:
        return None
    return _name(target)


def _operand_of_sizeof(cursor: Cursor) -> str | None:
    cursor = _strip(cursor)
    if cursor.kind != CursorKind.CXX_UNARY_EXPR:
        return None
    for child in cursor.get_children():
        return _name(child.type)
    return None


def _name(type_: ClangType) -> str:
    return re.sub(r"\b(const|volatile|restrict)\b\s*", "", type_.spelling).strip()
