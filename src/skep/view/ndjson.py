r"""Records as NDJSON: one JSON object a line, for programs.

One rule holds for every schema, so that a consumer needs to know nothing else:

    A field's own key holds what the kernel wrote. Where that is a number which stands for something, a second key
    beside it says for what, or null if it stands for nothing known:

    <field>_name   errno, signal, system call, flags, user, enum ...   "ret": -2, "ret_name": "ENOENT"
    <field>_iso    a moment, ISO 8601 with the offset of local time    "ts_iso": "2027-01-31T14:02:07.123456+01:00"
    <field>_ip     an address of the network                           "daddr": 16777343, "daddr_ip": "127.0.0.1"
    <field>_mac    an address of Ethernet                              "from": [2, ...], "from_mac": "02:00:00:00:00:01"
    <field>_frames a stack of calls, the innermost first       "stack": 12, "stack_frames": ["do_idle", "cpu_startup"]
    <field>_port   a port that is stored in network byte order         "dport": 47873, "dport_port": 443

Which keys a schema's objects have never depends on values. A struct is an object; an array is a list, and so is its
second key; bytes are hexadecimal digits; an integer is a JSON number, however large; a float that JSON lacks is null.
Text is text; a byte in it that is not UTF-8 is written as ``\xNN``. Where the struct has a member with the name of a
second key, that member stands and the second key is left out.

Members that start with an underscore are left out (as are ``pad`` and ``padding``), so that such keys are skep's own:
`_event` is the schema's name, written first where a run has several.
"""

from __future__ import annotations

from time import gmtime

from skep.base.meaning import MEANINGS
from skep.view.columns import address_of, applies, hidden, syscall_of
from skep.view.formatters import CLOCKS, FORMATTERS, escape, format_enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from skep.base.schema import Field, Schema, Type
    from skep.stream.names import Names

__all__ = ["Keys", "Ndjson", "writer_of"]

# Of the years 1 to 9999, in seconds since the epoch: what ISO 8601 writes without agreement between the parties.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
# So many values of a field are kept as written at most, and no text that has more bytes.
_KNOWN = 4096
_SHORT = 64


class Ndjson:
    """Renders records as one JSON object a line.

    Args:
        names: resolved names of the run.
        labelled: whether the run has several schemas, so that each object says which, as `_event`.
    """

    def __init__(self, names: Names, *, labelled: bool = False) -> None:
        self._names = names
        self._labelled = labelled
        self._objects: dict[Schema, Callable[[Iterable[Any]], Iterator[str]]] = {}

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """The lines of some rows, each ended by a newline.

        Args:
            schema: of all these rows.
            rows: as `Schema.decode` gives them.
        """
        write = self._objects.get(schema)
        if write is None:
            label = f'"_event": {_quote(schema.name)}' if self._labelled else ""
            write = self._objects[schema] = _objects(schema.fields, self._names, label, end="\n")
        return "".join(write(rows))

    def finish(self) -> str:
        """Nothing: all rows are written as they come."""
        return ""


class _Known(dict[object, object]):
    """What was written before, by its value: those of events repeat."""

    __slots__ = ("_final", "_write")

    def __init__(self, write: Callable[[Any], Any], *, final: bool) -> None:
        super().__init__()
        self._write = write
        # Else what has no name may get one.
        self._final = final

    def __missing__(self, value: object) -> object:
        if len(self) >= _KNOWN:
            self.clear()
        written = self._write(value)
        if self._final or written not in {"null", None}:
            self[value] = written
        return written


class Keys:
    """The keys of a schema's objects, and how their values are got from a row: what is evaluated once for each.

    Args:
        fields: of the struct.
        names: resolved names of the run.
        own: what makes a field's value of what stands in the row; None: that is it.
        second: what is made of the JSON that a second key's value is written as.

    `cells` holds expressions by key. They are made of positions only, never of text from the object.
    """

    def __init__(
        self,
        fields: tuple[Field, ...],
        names: Names,
        own: Callable[[Field], Callable[[Any], Any] | None],
        second: Callable[[Callable[[Any], str]], Callable[[Any], Any]],
    ) -> None:
        self.cells: dict[str, str] = {}
        self._used: dict[str, Any] = {}
        self._row = "".join(f"r{index}, " for index in range(len(fields)))
        taken = {field.name for field in fields}
        for index, field in enumerate(fields):
            if hidden(field):
                continue
            made = own(field)
            short = field.type.kind == "text" and field.type.size <= _SHORT
            self.cells[field.name] = f"r{index}" if made is None else self._call(made, f"r{index}", known=short)
            more = _second(fields, index, names)
            if more is not None and f"{field.name}_{more[0]}" not in taken:
                suffix, write, of_row = more
                self.cells[f"{field.name}_{suffix}"] = self._call(
                    second(write),
                    f"({self._row})" if of_row else f"r{index}",
                    known=suffix == "name" and field.type.kind != "array" and not of_row,
                    final=field.meaning not in {"uid", "gid"},
                )

    def _call(self, function: Callable[[Any], Any], argument: str, *, known: bool, final: bool = True) -> str:
        name = f"n{len(self._used)}"
        self._used[name] = _Known(function, final=final) if known else function
        return f"{name}[{argument}]" if known else f"{name}({argument})"

    def compiled(self, expression: str, constants: Mapping[str, Any]) -> Callable[[Iterable[Any]], Iterator[Any]]:
        """A function from rows to what an expression makes of each.

        Args:
            expression: over `cells` and the names of the constants.
            constants: by name.
        """
        function: Callable[[Iterable[Any]], Iterator[Any]] = eval(  # noqa: S307
            f"lambda rows: ({expression} for ({self._row}) in rows)", {**self._used, **constants}
        )
        return function


def _objects(
    fields: tuple[Field, ...], names: Names, label: str = "", end: str = ""
) -> Callable[[Iterable[Any]], Iterator[str]]:
    """A function from rows to their objects: one expression, made once a schema."""

    def own(field: Field) -> Callable[[Any], str] | None:
        # `%s` writes a number.
        is_number = field.type.kind in {"int", "enum", "pointer"}
        return None if is_number else writer_of(field.type, field.meaning, names)

    keys = Keys(fields, names, own, lambda write: write)
    parts = [label] if label else []
    parts += [f"{_quote(key)}: \0" for key in keys.cells]
    template = f"{{{', '.join(parts)}}}{end}".replace("%", "%%").replace("\0", "%s")
    expression = f"template % ({''.join(f'{cell}, ' for cell in keys.cells.values())})"
    return keys.compiled(expression, {"template": template})


def _object(fields: tuple[Field, ...], names: Names) -> Callable[[Any], str]:
    write = _objects(fields, names)
    return lambda row: next(write((row,)))


def writer_of(held: Type, meaning: str | None, names: Names) -> Callable[[Any], str]:
    """What writes values of a type as JSON.

    Args:
        held: the type.
        meaning: what they stand for, or None.
        names: resolved names of the run.
    """
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
            element = writer_of(held.element, None, names)
            return lambda value: f"[{', '.join(map(element, value))}]"
        case _:  # a number; or bytes, which is also what an unusual size of something else comes as
            return lambda value: f'"{value.hex()}"' if isinstance(value, bytes) else str(value)


def _second(fields: tuple[Field, ...], index: int, names: Names) -> tuple[str, Callable[[Any], str], bool] | None:
    # (suffix of the second key, what writes its value, whether from the whole row), if the field has one.
    field = fields[index]
    address = address_of(fields, index, names)
    if address is not None:
        return "ip", lambda row: f'"{text}"' if (text := address(row)) else "null", True
    call = syscall_of(fields, index, names)
    if call is not None:
        return "name", lambda row: _name(call(row), row[index]), True
    if field.is_stack:
        from skep.view.stacks import frames_of

        frames = frames_of(fields, index, names)
        return "frames", lambda row: f"[{', '.join(map(_quote, frames(row)))}]", True
    named = _named(field.type, field.meaning, names)
    return named and (*named, False)


def _named(
    held: Type,
    meaning: str | None,
    names: Names,
) -> tuple[str, Callable[[Any], str]] | None:
    if meaning is not None and applies(held, meaning):
        write = FORMATTERS[meaning]
        if meaning in CLOCKS:
            return "iso", _Moments(names, CLOCKS[meaning])
        if meaning == "port_be":
            return "port", lambda value: write(value, names)
        if meaning == "mac":
            return "mac", lambda value: f'"{write(value, names)}"'
        if meaning in {"ipv4", "ipv6", "ip"}:  # an element of an array of addresses
            return "ip", lambda value: f'"{write(value, names)}"'
        if meaning in {"uid", "gid"} or MEANINGS[meaning].kind == "code":
            return "name", lambda value: _name(write(value, names), value)
        return None
    if held.kind == "enum" and held.enum is not None:
        known = held.enum
        return "name", lambda value: "null" if (name := format_enum(value, known)) is None else _quote(name)
    if held.kind == "array" and held.element is not None:
        element = _named(held.element, meaning, names)
        return element and (element[0], lambda value: f"[{', '.join(map(element[1], value))}]")
    return None


def _name(text: str, value: int) -> str:
    return "null" if text == str(value) else _quote(text)


class _Moments:
    """Writes moments. Those of events are close together: the second is written once."""

    __slots__ = ("_clock", "_names", "_parts")

    def __init__(self, names: Names, clock: str) -> None:
        self._names = names
        self._clock = clock
        self._parts: tuple[int, str, str] | None = None

    def __call__(self, value: int) -> str:
        seconds, nanoseconds = divmod(value + getattr(self._names, self._clock), 1_000_000_000)
        parts = self._parts
        if parts is None or parts[0] != seconds:
            written = _second_of(seconds, self._names.utc_offset)
            if written is None:
                return "null"
            parts = self._parts = (seconds, *written)
        if value == 0:
            return "null"  # never set
        return f"{parts[1]}{nanoseconds // 1000:06}{parts[2]}"


def _second_of(seconds: int, utc_offset: int) -> tuple[str, str] | None:
    """What stands before the decimals of a moment, and what behind them."""
    seconds += utc_offset
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        return None
    sign = "-" if utc_offset < 0 else "+"
    hours, minutes = divmod(abs(utc_offset) // 60, 60)
    year, month, day, hour, minute, second = gmtime(seconds)[:6]
    date = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    return f'"{date}.', f'{sign}{hours:02}:{minutes:02}"'


def _quote(text: str) -> str:
    if text.isprintable():
        if "\\" in text or '"' in text:
            text = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    from json import dumps  # costs 3 ms: paid where such text occurs

    # ASCII, since these characters would act on a terminal; a surrogate is no character, so that JSON cannot carry it.
    if not text.isascii():
        text = "".join(escape(character) if "\ud800" <= character <= "\udfff" else character for character in text)
    return dumps(text).replace("\x7f", "\\u007f")
