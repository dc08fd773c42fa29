"""From a schema to columns: which fields are shown, in what words, how wide, on which side.

Everything is decided once a schema; what remains for each event is one call a column.
"""

from __future__ import annotations

from skep.view.formatters import AF_INET, AF_INET6, FORMATTERS, escape, format_enum, format_ip, format_syscall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from skep.base.schema import Field, Type
    from skep.stream.names import Names

    Cell = Callable[[Any], str]

__all__ = ["BESIDE", "TEXTS", "Column", "address_of", "applies", "cell_of", "columns_of", "hidden", "syscall_of"]

_SCALARS = frozenset({"int", "enum", "pointer"})
_ADDRESSES = {"ipv4": (4,), "ipv6": (16,), "ip": (4, 16)}  # meaning -> sizes that it can have
TEXTS = frozenset({"comm", "text"})
"""The meanings of what is text, whatever its type in C."""

BESIDE = {**dict.fromkeys(_ADDRESSES, "family"), "syscall": "compat"}
"""Meaning -> that of a field beside it, by whose value it is written."""

# Widths that fit nearly every value, since the first batch is often a single event.
_WIDTHS = {
    "time_monotonic": 15,
    "time_boot": 15,
    "time_tai": 15,
    "duration_ns": 10,
    "duration_us": 10,
    "duration_ms": 10,
    "pid": 7,
    "tid": 7,
    "ppid": 7,
    "uid": 8,
    "gid": 8,
    "comm": 15,
    "text": 16,
    "result": 7,
    "errno": 7,
    "signal": 8,
    "exit_code": 9,
    "syscall": 16,
    "compat": 6,
    "open_flags": 18,
    "mode": 10,
    "device": 8,
    "cgroup": 24,
    "namespace": 10,
    "protocol": 14,
    "tcp_state": 15,
    "mac": 17,
    "family": 8,
    "ipv4": 15,
    "ipv6": 25,
    "ip": 15,
    "port": 5,
    "port_be": 5,
    "bytes": 9,
    "pointer": 18,
    "stack": 8,
}
_RIGHT = frozenset({"pid", "tid", "ppid", "result", "errno", "exit_code", "port", "port_be", "bytes", "pointer"})
_RIGHT |= {"duration_ns", "duration_us", "duration_ms"}
_NUMBER_WIDTHS = {1: 3, 2: 5, 4: 8, 8: 10}
_WIDEST_DEFAULT = 24


class Column:
    """One column of a table.

    Args:
        name: the field's name, printable.
        cell: row -> text.
        width: characters that most values need.
        right: whether it is aligned to the right, as numbers are.
    """

    __slots__ = ("cell", "name", "right", "width")

    def __init__(self, name: str, cell: Cell, width: int, *, right: bool) -> None:
        self.name = name
        self.cell = cell
        self.width = width
        self.right = right


def columns_of(fields: tuple[Field, ...], names: Names, *, stacks: bool = True) -> list[Column]:
    """The columns of a schema, in the order of its fields.

    Args:
        fields: the schema's.
        names: looked into at each event, so that what becomes known later is used.
        stacks: whether stacks of calls have one.
    """
    return [
        Column(
            escape(field.name),
            cell_of(fields, index, names),
            _width(field.type, field.meaning),
            right=_right(field.type, field.meaning),
        )
        for index, field in enumerate(fields)
        if not hidden(field) and (stacks or not field.is_stack)
    ]


def cell_of(fields: tuple[Field, ...], index: int, names: Names) -> Cell:
    """How a table writes a field: a function from a row to text.

    Args:
        fields: the schema's.
        index: of the field in it.
        names: for the formatters.
    """
    address = address_of(fields, index, names)
    if address is not None:
        return address
    call = syscall_of(fields, index, names)
    if call is not None:
        return call
    if fields[index].is_stack:
        from skep.view.stacks import frames_of

        frames = frames_of(fields, index, names)
        return lambda row: ";".join(reversed(frames(row)))
    show = _show(fields[index].type, fields[index].meaning, names)
    return lambda row: show(row[index])


def hidden(field: Field) -> bool:
    """Whether a field is padding: named ``_...``, ``pad``, ``padding``, or these with a number."""
    return not field.name or field.name[0] == "_" or field.name.rstrip("_0123456789") in {"pad", "padding"}


def applies(held: Type, meaning: str | None) -> bool:
    """Whether values of a type can have a meaning: as a whole, not element by element.

    Args:
        held: the type.
        meaning: a word of `skep.base.meaning`; any other, or None, applies to nothing.
    """
    if meaning in _ADDRESSES:
        if held.size not in _ADDRESSES[meaning]:
            return False
        return held.kind in {"int", "bytes"} or (held.element is not None and held.element.kind == "int")
    if meaning == "mac":
        return held.size == 6 and (held.kind == "bytes" or (held.element is not None and held.element.size == 1))
    if meaning in TEXTS:
        return held.kind in {"text", "bytes"} or (held.element is not None and held.element.size == 1)
    return meaning in FORMATTERS and held.kind in _SCALARS and held.size <= 8


def address_of(fields: tuple[Field, ...], index: int, names: Names) -> Cell | None:
    """How to write a field that is an address of the network; None if the field is none.

    Of an ``ipv4`` and an ``ipv6`` field in one place, the one that the family beside them rules out is empty text.

    Args:
        fields: of the struct.
        index: of the field in it.
        names: for the formatters.
    """
    field = fields[index]
    if field.meaning not in _ADDRESSES:
        return None
    # struct in6_addr and unions such as {u32 v4; u8 v6[16];} wrap an address: descend to the member of the whole size.
    path = [index]
    inner = field.type
    while inner.kind in {"struct", "union"}:
        whole = [number for number, member in enumerate(inner.fields) if member.size == inner.size]
        if not whole:
            return None
        path.append(whole[0])
        inner = inner.fields[whole[0]].type
    if not applies(inner, field.meaning):
        return None

    def get(row: Any) -> Any:
        for number in path:
            row = row[number]
        return row

    meaning = "ipv4" if inner.size == 4 else field.meaning
    write = FORMATTERS[meaning]
    family = _beside(fields, field)
    if family is None:
        return lambda row: write(get(row), names)
    if meaning == "ip":
        return lambda row: format_ip(get(row), row[family])
    other = AF_INET6 if meaning == "ipv4" else AF_INET
    return lambda row: "" if row[family] == other else write(get(row), names)


def syscall_of(fields: tuple[Field, ...], index: int, names: Names) -> Cell | None:
    """How to write a system call that may be a 32-bit program's; None where no field beside it says so.

    Args:
        fields: of the struct.
        index: of the field in it.
        names: for the formatter.
    """
    field = fields[index]
    compat = _beside(fields, field)
    if field.meaning != "syscall" or compat is None or not applies(field.type, "syscall"):
        return None
    return lambda row: format_syscall(row[index], names, compat=bool(row[compat]))


def _beside(fields: tuple[Field, ...], field: Field) -> int | None:
    wanted = BESIDE.get(field.meaning or "")
    if wanted is None:
        return None
    return next((index for index, sibling in enumerate(fields) if sibling.meaning == wanted), None)


def _show(held: Type, meaning: str | None, names: Names) -> Cell:
    if meaning is not None and applies(held, meaning):
        write = FORMATTERS[meaning]
        return lambda value: write(value, names)
    match held.kind:
        case "text":
            return escape
        case "bool":
            return lambda value: "true" if value else "false"
        case "enum":
            known = {number: escape(name) for number, name in (held.enum or {}).items()}
            return lambda value: format_enum(value, known) or str(value)
        case "pointer":
            return hex
        case "array" if held.element is not None:
            element = _show(held.element, meaning, names)
            return lambda value: f"[{', '.join(map(element, value))}]"
        case "struct" | "union":
            members = [(column.name, column.cell) for column in columns_of(held.fields, names)]
            return lambda row: f"{{{', '.join(f'{name}={cell(row)}' for name, cell in members)}}}"
        case _:  # a number; or bytes, which is also what an unusual size of something else comes as
            return lambda value: value.hex() if isinstance(value, bytes) else str(value)


def _right(held: Type, meaning: str | None) -> bool:
    if meaning is not None and applies(held, meaning):
        return meaning in _RIGHT
    return held.kind in {"int", "float", "pointer"}


def _width(held: Type, meaning: str | None) -> int:
    if meaning in _ADDRESSES or (meaning is not None and applies(held, meaning)):
        return min(_WIDTHS[meaning], held.size) if held.kind == "text" else _WIDTHS[meaning]
    match held.kind:
        case "int" | "float":
            return _NUMBER_WIDTHS.get(held.size, 10)
        case "enum" if held.enum:
            return min(max(map(len, held.enum.values())), _WIDEST_DEFAULT)
        case "pointer":
            return 18
        case "text" | "array" | "struct" | "union" | "bytes":
            return min(held.size, _WIDEST_DEFAULT)
        case _:
            return 5
