"""A schema as plain data, and back: what a recording carries, so that it is read without the kernel file.

The data may come from anybody: what no struct in C could be is refused, so that whoever decodes records by such a
schema stays within them.
"""

from __future__ import annotations

from skep.base.schema import Field, Schema, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["schema_from_plain", "schema_to_plain"]

_KINDS = frozenset({"int", "bool", "float", "enum", "pointer", "text", "array", "struct", "union", "bytes"})
# More than records have: deeper or larger ones are made to exhaust whoever reads them.
_DEEPEST = 32
_MOST_TYPES = 4096
_LARGEST = 1 << 20
_MOST_NAMES = 1 << 16


def schema_to_plain(schema: Schema) -> dict[str, Any]:
    """A schema as dicts, lists, text and numbers.

    Args:
        schema: of records.
    """
    return {"name": schema.name, "size": schema.size, "fields": [_field(field) for field in schema.fields]}


def schema_from_plain(data: Any) -> Schema:
    """The schema that was made plain.

    Args:
        data: as `schema_to_plain` gives it, or anything else.

    Raises:
        ValueError: it describes no records.
    """
    try:
        name, size = _text(data["name"]), _number(data["size"], _LARGEST)
        reader = _Reader()
        fields = reader.fields(data["fields"], size or _LARGEST, 0)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no layout of records: {error!r}") from None
    schema = Schema(name, size, fields)
    if not size and not schema.is_raw:
        raise ValueError(f"records of {name} have no size")
    return schema


def _field(field: Field) -> dict[str, Any]:
    data = {"name": field.name, "offset": field.offset, "size": field.size, "type": _type(field.type)}
    if field.meaning is not None:
        data["meaning"] = field.meaning
    if field.bits is not None:
        data["bits"] = list(field.bits)
    return data


def _type(held: Type) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": held.kind, "size": held.size, "name": held.name}
    if held.signed:
        data["signed"] = True
    if held.element is not None:
        data["element"] = _type(held.element)
    if held.count:
        data["count"] = held.count
    if held.fields:
        data["fields"] = [_field(field) for field in held.fields]
    if held.enum is not None:
        data["enum"] = {str(value): name for value, name in held.enum.items()}
    return data


class _Reader:
    # Counts the types, which together are bounded, too.

    def __init__(self) -> None:
        self._left = _MOST_TYPES

    def fields(self, data: Any, room: int, depth: int) -> tuple[Field, ...]:
        found = tuple(self.field(each, room, depth) for each in data)
        # As NumPy and Arrow call them.
        if len({field.name or f"_{index}" for index, field in enumerate(found)}) < len(found):
            raise ValueError("two fields have one name")
        return found

    def field(self, data: Any, room: int, depth: int) -> Field:
        held = self.type(data["type"], depth)
        offset, size = _number(data["offset"], room), _number(data["size"], _LARGEST)
        meaning, bits = data.get("meaning"), data.get("bits")
        if bits is not None:
            shift, width = (_number(each, 64) for each in bits)
            if held.kind not in {"int", "bool", "enum"} or not width or size > 8 or shift + width > size * 8:
                raise ValueError(f"{data['name']!r} has no place for its bits")
            bits = (shift, width)
        elif size != held.size:
            raise ValueError(f"{data['name']!r} has not the size of its type")
        if offset + size > room:
            raise ValueError(f"{data['name']!r} lies outside of its record")
        return Field(_text(data["name"]), offset, size, held, None if meaning is None else _text(meaning), bits)

    def type(self, data: Any, depth: int) -> Type:
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise ValueError("the types are nested too deeply, or too many")
        kind, size, name = data["kind"], _number(data["size"], _LARGEST), _text(data["name"])
        if kind not in _KINDS:
            raise ValueError(f"{kind!r} is no kind of type")
        element, count, enum = None, _number(data.get("count", 0), _LARGEST), data.get("enum")
        if kind == "array":
            element = self.type(data["element"], depth + 1)
            if element.size * count != size:
                raise ValueError(f"{name!r} has not the size of its elements")
        if kind == "pointer" and size not in {4, 8}:
            raise ValueError(f"{name!r} is no pointer of {size} bytes")
        if kind in {"int", "enum"} and not 1 <= size <= 16:
            raise ValueError(f"{name!r} is no number of {size} bytes")
        if enum is not None:
            if len(enum) > _MOST_NAMES:
                raise ValueError(f"{name!r} has too many names")
            enum = {int(value): _text(each) for value, each in enum.items()}
        fields: tuple[Field, ...] = ()
        if kind in {"struct", "union"}:
            fields = self.fields(data.get("fields", ()), size, depth + 1)
        return Type(
            kind, size, name, signed=bool(data.get("signed")), element=element, count=count, fields=fields, enum=enum
        )


def _number(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{value!r} is no number from 0 to {most}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")  # noqa: TRY004 - all that is wrong with the data is one error
    return value
