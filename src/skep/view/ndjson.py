r"""Records as NDJSON: one JSON object a line, for programs.

One rule holds for every schema, so that a consumer needs to know nothing else:

    A field's own key holds what the kernel wrote. Where that is a number which stands for something, a second key
    beside it says for what, or null if it stands for nothing known:

    <field>_name   errno, signal, system call, flags, user, enum ...   "ret": -2, "ret_name": "ENOENT"
    <field>_iso    a moment, ISO 8601 with the offset of local time    "ts_iso": "2027-01-31T14:02:07.123456+01:00"
    <field>_ip     an address of the network                           "daddr": 16777343, "daddr_ip": "127.0.0.1"
    <field>_port   a port that is stored in network byte order         "dport": 47873, "dport_port": 443

Which keys a schema's objects have never depends on values. A struct is an object; an array is a list, and so is its
second key; bytes are hexadecimal digits; an integer is a JSON number, however large; a float that JSON lacks is null.
Text is text; a byte in it that is not UTF-8 is written as ``\xNN``. Where the struct has a member with the name of a
second key, that member stands and the second key is left out.

Members that start with an underscore are left out (as are ``pad`` and ``padding``), so that such keys are skep's own:
`_event` is the schema's name, written first where a run has several.
"""

from __future__ import annotations

from operator import itemgetter
from time import gmtime

from skep.base.meaning import MEANINGS
from skep.view.columns import address_of, applies, hidden
from skep.view.formatters import CLOCKS, FORMATTERS, escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from skep.base.schema import Field, Schema, Type
    from skep.stream.names import Names

__all__ = ["Ndjson"]

# Of the years 1 to 9999, in seconds since the epoch: what ISO 8601 writes without agreement between the parties.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799


class Ndjson:
    """Renders records as one JSON object a line.

    Args:
        names: resolved names of the run.
        labelled: whether the run has several schemas, so that each object says which, as `_event`.
    """

    def __init__(self, names: Names, *, labelled: bool = False) -> None:
        self._names = names
        self._labelled = labelled
        self._objects: dict[Schema, Callable[[Any], str]] = {}

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """The lines of some rows, each ended by a newline.

        Args:
            schema: of all these rows.
            rows: as `Schema.decode` gives them.
        """
        write = self._objects.get(schema)
        if write is None:
            label = f'"_event": {_quote(schema.name)}' if self._labelled else ""
            write = self._objects[schema] = _object(schema.fields, self._names, label)
        return "".join([f"{write(row)}\n" for row in rows])


def _object(fields: tuple[Field, ...], names: Names, label: str = "") -> Callable[[Any], str]:
    parts = [label.replace("%", "%%")] if label else []
    cells: list[Callable[[Any], Any]] = []
    taken = {field.name for field in fields}
    for index, field in enumerate(fields):
        if hidden(field):
            continue
        parts.append(f"{_quote(field.name).replace('%', '%%')}: %s")
        cells.append(_own(index, field, names))
        second = _second(fields, index, names)
        if second is not None and f"{field.name}_{second[0]}" not in taken:
            parts.append(f"{_quote(f'{field.name}_{second[0]}').replace('%', '%%')}: %s")
            cells.append(second[1])
    template = f"{{{', '.join(parts)}}}"
    return lambda row: template % tuple([cell(row) for cell in cells])


def _own(index: int, field: Field, names: Names) -> Callable[[Any], Any]:
    if field.type.kind in {"int", "enum", "pointer"}:
        return itemgetter(index)  # `%s` writes the number
    value = _value(field.type, field.meaning, names)
    return lambda row: value(row[index])


def _value(held: Type, meaning: str | None, names: Names) -> Callable[[Any], str]:
    if held.kind == "text":
        return _quote
    if meaning in {"comm", "text"} and applies(held, meaning):
        return lambda value: _quote(bytes(value).partition(b"\0")[0].decode("utf-8", "surrogateescape"))
    match held.kind:
        case "bool":
            return lambda value: "true" if value else "false"
        case "float" if held.size <= 8:
            return lambda value: repr(value) if value - value == 0 else "null"
        case "struct" | "union":
            return _object(held.fields, names)
        case "array" if held.element is not None:
            element = _value(held.element, None, names)
            return lambda value: f"[{', '.join(map(element, value))}]"
        case _:  # a number; or bytes, which is also what an unusual size of something else comes as
            return lambda value: f'"{value.hex()}"' if isinstance(value, bytes) else str(value)


def _second(fields: tuple[Field, ...], index: int, names: Names) -> tuple[str, Callable[[Any], str]] | None:
    # (suffix of the second key, row -> its value), if the field has one.
    field = fields[index]
    address = address_of(fields, index, names)
    if address is not None:
        return "ip", lambda row: f'"{text}"' if (text := address(row)) else "null"
    named = _named(field.type, field.meaning, names)
    return named and (named[0], lambda row: named[1](row[index]))


def _named(
    held: Type,
    meaning: str | None,
    names: Names,
) -> tuple[str, Callable[[Any], str]] | None:
    if meaning is not None and applies(held, meaning):
        write = FORMATTERS[meaning]
        if meaning in CLOCKS:
            return "iso", lambda value: _moment(value, getattr(names, CLOCKS[meaning]), names.utc_offset)
        if meaning == "port_be":
            return "port", lambda value: write(value, names)
        if meaning in {"ipv4", "ipv6", "ip"}:  # an element of an array of addresses
            return "ip", lambda value: f'"{write(value, names)}"'
        if meaning in {"uid", "gid"} or MEANINGS[meaning].kind == "code":
            return "name", lambda value: _name(write(value, names), value)
        return None
    if held.kind == "enum" and held.enum is not None:
        quoted = {number: _quote(name) for number, name in held.enum.items()}
        return "name", lambda value: quoted.get(value, "null")
    if held.kind == "array" and held.element is not None:
        element = _named(held.element, meaning, names)
        return element and (element[0], lambda value: f"[{', '.join(map(element[1], value))}]")
    return None


def _name(text: str, value: int) -> str:
    return "null" if text == str(value) else _quote(text)


def _moment(value: int, offset: int, utc_offset: int) -> str:
    seconds, nanoseconds = divmod(value + offset, 1_000_000_000)
    seconds += utc_offset
    if value == 0 or not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        return "null"  # zero: never set
    sign = "-" if utc_offset < 0 else "+"
    hours, minutes = divmod(abs(utc_offset) // 60, 60)
    year, month, day, hour, minute, second = gmtime(seconds)[:6]
    date = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    return f'"{date}.{nanoseconds // 1000:06}{sign}{hours:02}:{minutes:02}"'


def _quote(text: str) -> str:
    if text.isprintable():
        if "\\" in text or '"' in text:
            text = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    from json import dumps  # costs 3 ms: paid where such text occurs

    # ASCII, since these characters would act on a terminal; a surrogate is no character, so that JSON cannot carry it.
    text = "".join(escape(character) if "\ud800" <= character <= "\udfff" else character for character in text)
    return dumps(text).replace("\x7f", "\\u007f")
