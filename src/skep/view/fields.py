"""Fields by their names: what an option that names some means for each type of record."""

from __future__ import annotations

import sys

from skep.base.errors import UsageError
from skep.base.nearest import nearest
from skep.base.schema import Field, Schema
from skep.view.columns import BESIDE, hidden

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

__all__ = ["find", "number_of", "picked", "require"]

_NUMBERS = frozenset({"int", "bool", "enum", "float", "pointer"})
_ADDRESSES = frozenset({"ipv4", "ipv6", "ip"})


def find(schema: Schema, name: str) -> int | None:
    """The position of the field of that name; None where the records have none.

    Args:
        schema: of the records.
        name: as in C.
    """
    return next((index for index, field in enumerate(schema.fields) if field.name == name), None)


def require(names: Iterable[str], schemas: Sequence[Schema], option: str) -> None:
    """Makes sure that each name is a field of some records.

    Args:
        names: of fields.
        schemas: those of the run; where none is known yet, nothing is said.
        option: that names them, for the message.

    Raises:
        UsageError: no records have such a field.
    """
    known = list(dict.fromkeys(field.name for schema in schemas for field in schema.fields if not hidden(field)))
    for name in names if schemas else ():
        if all(find(schema, name) is None for schema in schemas):
            raise UsageError(f"{option}: there is no field {name}", remedy=nearest(name, known, "fields"))


def number_of(field: Field) -> Callable[[Any], Any] | None:
    """What makes a number for reckoning of a value as it stands in a row; None for what is no number.

    Ports in network byte order are turned round. A negative errno in an unsigned field gets its sign back.

    Args:
        field: of the value.
    """
    held = field.type
    if held.kind not in _NUMBERS or held.size > 8 or field.meaning in _ADDRESSES:
        return None
    if field.meaning == "port_be" and held.size == 2:
        return lambda value: int.from_bytes(value.to_bytes(2, sys.byteorder), "big")
    if field.meaning == "result" and held.kind == "int" and not held.signed:
        half, whole = 1 << held.size * 8 - 1, 1 << held.size * 8
        return lambda value: value - whole if value >= half else value
    return lambda value: value


def picked(schema: Schema, positions: Sequence[int]) -> tuple[Schema, Callable[[Any], tuple[Any, ...]]]:
    """Some fields of records: their schema, and what makes such a record of a row.

    A family beside a chosen address comes along, hidden: it decides how the address is written. So does what
    says that a system call is a 32-bit program's.

    Args:
        schema: of the rows.
        positions: of the fields.
    """
    fields = [schema.fields[index] for index in positions]
    taken = list(positions)
    for meaning in dict.fromkeys(BESIDE[field.meaning] for field in fields if field.meaning in BESIDE):
        place = next((index for index, field in enumerate(schema.fields) if field.meaning == meaning), None)
        if place is not None and place not in taken:
            beside = schema.fields[place]
            fields.append(Field(f"_{meaning}", beside.offset, beside.size, beside.type, beside.meaning, beside.bits))
            taken.append(place)
    return Schema(schema.name, schema.size, tuple(fields)), lambda row: tuple([row[index] for index in taken])
