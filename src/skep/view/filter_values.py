"""One comparison of a filter: a field, an operator and a value, as a function of a row."""

from __future__ import annotations

import operator as operators
import os
import re

from skep.base.abi.errnos import ERRNOS
from skep.base.abi.signals import SIGNALS
from skep.base.abi.sockets import FAMILIES, PROTOCOLS, TCP_STATES
from skep.base.abi.syscalls import COMPAT, syscalls
from skep.base.errors import UsageError
from skep.base.nearest import nearest
from skep.base.schema import decoder
from skep.view.columns import TEXTS, applies, cell_of
from skep.view.fields import number_of
from skep.view.formatters import FORMATTERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from skep.base.schema import Field, Schema
    from skep.stream.names import Names

    Test = Callable[[Any], Any]

__all__ = ["ORDERS", "Never", "comparison", "truth"]

ORDERS = {"<": operators.lt, "<=": operators.le, ">": operators.gt, ">=": operators.ge}
"""The operators that take numbers only."""

_EQUALITIES = {"==": operators.eq, "!=": operators.ne}
_WHOLE = r"[+-]?(0[xX][0-9a-fA-F]{1,32}|[0-9]{1,40})"
# What is known by name, but not by every name: these are compared as they are shown.
_OPEN = frozenset({"uid", "gid", "exit_code", "open_flags", "mode", "device", "cgroup", "namespace", "compat"})


class Never:
    """A comparison that holds for no record: the field has no room for what is asked for.

    Args:
        error: what to say of it, where nothing else lets records through.
    """

    __slots__ = ("error",)

    def __init__(self, error: UsageError) -> None:
        self.error = error

    def __call__(self, _: Any) -> bool:
        """That it does not hold."""
        return False


def truth(schema: Schema, index: int) -> Test:
    """Whether a field is neither zero nor empty.

    Args:
        schema: of the rows.
        index: of the field.
    """
    held = schema.fields[index].type
    if held.kind in {"bytes", "array", "struct", "union"}:
        empty = decoder(held)(bytes(held.size))
        return lambda row: row[index] != empty
    return operators.itemgetter(index)


def comparison(schema: Schema, index: int, operator: str, value: str, names: Names) -> Test:
    """What tells of a row whether a comparison holds.

    Args:
        schema: of the rows.
        index: of the field.
        operator: ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``=~`` or ``!~``.
        value: as it was given.
        names: for what values are called.

    Returns:
        It, or a `Never`.

    Raises:
        UsageError: the field cannot be compared so, or not with that.
    """
    field = schema.fields[index]
    if operator in {"=~", "!~"}:
        text, search = _text(schema, index, names), re.compile(value).search
        return (lambda row: search(text(row))) if operator == "=~" else lambda row: not search(text(row))
    number = number_of(field)
    if operator in ORDERS:
        if number is None:
            raise UsageError(f"{field.name} is no number ({field.type.name}): it has no order")
        return _against(ORDERS[operator], field, index, number, _number(field, number, value))
    compare = _EQUALITIES[operator]
    if field.type.kind == "text" and compare is operators.eq and (error := _too_long(field, value)):
        return Never(error)
    if field.type.kind == "text" or (field.meaning in TEXTS and applies(field.type, field.meaning)):
        return _like(compare, _text(schema, index, names), value)
    if field.meaning == "mac" and applies(field.type, field.meaning):
        return _like(compare, _text(schema, index, names), value.lower())
    if number is None:
        known = _value(field, value)
        return lambda row: compare(row[index], known)
    if _is_named(field, value, names):
        return _like(compare, _text(schema, index, names), value)
    return _against(compare, field, index, number, _number(field, number, value))


def _against(
    compare: Callable[[Any, Any], Any], field: Field, index: int, number: Callable[[Any], Any], value: Any
) -> Test:
    if (ends := _ends(field)) is not None:
        low, high = ends
        if not (low <= value <= high if compare is operators.eq else compare(low, value) or compare(high, value)):
            return Never(UsageError(f"{field.name} is {low} to {high} ({field.type.name}): this is never so"))
    return lambda row: compare(number(row[index]), value)


def _ends(field: Field) -> tuple[int, int] | None:
    """The least and the greatest number that a field has room for; None where others are read into it."""
    held = field.type
    if held.kind != "int" or field.meaning == "result":
        return None
    size = held.size * 8 if field.bits is None else field.bits[1]
    return (-1 << size - 1, (1 << size - 1) - 1) if held.signed else (0, (1 << size) - 1)


def _too_long(field: Field, value: str) -> UsageError | None:
    # Of what the kernel calls a task, the last byte is the NUL; other text may fill its field.
    room, size = field.type.size - (field.meaning == "comm"), len(os.fsencode(value))
    if size <= room:
        return None
    error = UsageError(f"{field.name} has room for {room} bytes, and this is {size}: this is never so")
    if field.meaning == "comm":
        error.remedy = f"The kernel keeps the first {room}: {os.fsdecode(os.fsencode(value)[:room])}"
    return error


def _like(compare: Callable[[Any, Any], Any], text: Callable[[Any], str], value: str) -> Test:
    return lambda row: compare(text(row), value)


def _text(schema: Schema, index: int, names: Names) -> Callable[[Any], str]:
    """What a table shows of a field; of text, the text itself, its control characters not escaped."""
    field = schema.fields[index]
    if field.type.kind == "text":
        text: Callable[[Any], str] = operators.itemgetter(index)
        return text
    return cell_of(schema.fields, index, names)


def _number(field: Field, number: Callable[[Any], Any], value: str) -> Any:
    # Any number compares with any: what a field cannot hold is larger or smaller than all that it can.
    return int(value, 16 if "x" in value.lower() else 10) if _is_whole(value) else number(_value(field, value))


def _is_whole(value: str) -> bool:
    return re.fullmatch(_WHOLE, value) is not None


def _value(field: Field, value: str) -> Any:
    from skep.spec.values import Value

    return decoder(field.type)(Value(field.name, field.type, field.meaning).parse(value))


def _is_named(field: Field, value: str, names: Names) -> bool:
    """Whether a value is a name of what the field's numbers stand for.

    Raises:
        UsageError: it can only be a name, and there is no such name.
    """
    if _is_whole(value) or field.meaning not in FORMATTERS or not applies(field.type, field.meaning):
        return False
    known: Collection[str]
    match field.meaning:
        case "result" | "errno":
            known = ERRNOS.values()
        case "signal":
            known = SIGNALS.values()
        case "family":
            known = FAMILIES.values()
        case "protocol":
            known = PROTOCOLS.values()
        case "tcp_state":
            known = TCP_STATES.values()
        case "syscall":
            own, compat = names.architecture, COMPAT.get(names.architecture, "")
            known = {*syscalls(own).values(), *syscalls(compat).values()}
        case meaning:
            return meaning in _OPEN
    if value not in known:
        raise UsageError(
            f"{field.name} has no value {value}", remedy=nearest(value, list(known), f"names of {field.name}")
        )
    return True
