"""The contract between the kernel's bytes and everything that reads them: `Type`, `Field`, `Schema`.

A schema comes from BTF and is plain data. What is derived from it is derived once, on first use: the decoder of rows
(one precompiled `struct.Struct` and one generated function, no loop over fields per event) and the NumPy dtype.

Rows hold Python values: integers, floats, booleans, text (`str` up to the first NUL; bytes that are not UTF-8 become
surrogates, so `os.fsencode` gives them back), tuples for arrays, and nested rows for structs and unions.
"""

from __future__ import annotations

import struct
import sys
from collections import namedtuple
from keyword import iskeyword

from skep.base.meaning import PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    import numpy as np

__all__ = ["IN_FILES", "Field", "Schema", "Type", "decoder", "dtype_of", "format_code"]

_INTEGERS = {(1, True): "b", (1, False): "B", (2, True): "h", (2, False): "H"}
_INTEGERS |= {(4, True): "i", (4, False): "I", (8, True): "q", (8, False): "Q"}
_FLOATS = {2: "e", 4: "f", 8: "d"}
IN_FILES = "struct bpf_stack_build_id"
"""What the kernel tells of a function by its file (include/uapi/linux/bpf.h)."""

_IN_FILES_SIZE = 32
_IN_FILES_MEMBERS = [("status", "int"), ("build_id", "array"), ("offset", "int"), ("ip", "int")]

# So many texts are kept at most, and none that has more bytes.
_KNOWN_TEXTS = 4096
_SHORT_TEXT = 64
# An array of more numbers is unpacked by itself.
_SHORT_ARRAY = 16


class Type:
    """A type as the kernel file's BTF states it.

    Args:
        kind: ``int``, ``bool``, ``float``, ``enum``, ``pointer``, ``text`` (a char array), ``array``, ``struct``,
            ``union`` or ``bytes`` (no type known).
        size: in bytes.
        name: the name in C, as a reader would write it: ``u32``, ``struct event``, ``char[16]``.
        signed: for ``int`` and ``enum``.
        element: what an ``array`` holds.
        count: how many elements an ``array`` holds; how many bytes a ``text``.
        fields: the members of a ``struct`` or ``union``.
        enum: value -> name, for ``enum``.
    """

    __slots__ = ("count", "element", "enum", "fields", "kind", "name", "signed", "size")

    def __init__(
        self,
        kind: str,
        size: int,
        name: str,
        *,
        signed: bool = False,
        element: Type | None = None,
        count: int = 0,
        fields: tuple[Field, ...] = (),
        enum: Mapping[int, str] | None = None,
    ) -> None:
        self.kind = kind
        self.size = size
        self.name = name
        self.signed = signed
        self.element = element
        self.count = count
        self.fields = fields
        self.enum = enum

    def __repr__(self) -> str:
        return f"<Type {self.name}>"


class Field:
    """One member of a struct, with its place in it.

    Args:
        name: as in C; "" for an anonymous struct or union.
        offset: in bytes from the start of the struct.
        size: in bytes. For a bitfield: of the bytes that hold it.
        type: its type.
        meaning: a word of `skep.base.meaning`, or None.
        bits: for a bitfield, (bits to skip from the lowest of those bytes, width in bits).
    """

    __slots__ = ("bits", "meaning", "name", "offset", "size", "type")

    def __init__(
        self,
        name: str,
        offset: int,
        size: int,
        type: Type,  # noqa: A002 - the contract's word
        meaning: str | None = None,
        bits: tuple[int, int] | None = None,
    ) -> None:
        self.name = name
        self.offset = offset
        self.size = size
        self.type = type
        self.meaning = meaning
        self.bits = bits

    @property
    def enum(self) -> Mapping[int, str] | None:
        """Value -> name, for an enum."""
        return self.type.enum

    @property
    def is_stack(self) -> bool:
        """Whether it is a stack of calls: its number, its addresses, or places in files (struct bpf_stack_build_id)."""
        element = self.type.element
        if self.meaning != "stack" or self.bits is not None:
            return False
        if self.type.kind != "array" or element is None:
            return self.type.kind == "int"
        if element.kind == "struct":
            # A recording may say anything of its types.
            members = [(field.name, field.type.kind) for field in element.fields]
            return element.name == IN_FILES and element.size == _IN_FILES_SIZE and members == _IN_FILES_MEMBERS
        return element.kind in {"int", "pointer"} and element.size == 8

    def __repr__(self) -> str:
        return f"<Field {self.name}: {self.type.name} at {self.offset}>"


class Schema:
    """The layout of one kind of record.

    Args:
        name: the struct's name, without ``struct``.
        size: of a whole record, in bytes. A record may be shorter (only part of its last array was sent: the rest reads
            as zeros) or longer (the kernel pads perf records to 8 bytes). 0 where nothing is known of the records, and
            the only field is all of the bytes of each, or where each is one line of text.
        fields: its members; those of anonymous structs and unions stand among them.
    """

    __slots__ = ("_decode", "_decode_all", "_dtype", "_row", "_struct", "_texts", "_values", "fields", "name", "size")

    def __init__(self, name: str, size: int, fields: tuple[Field, ...]) -> None:
        self.name = name
        self.size = size
        self.fields = fields
        self._struct: struct.Struct | None = None
        self._decode: Callable[..., Any] | None = None
        self._decode_all: Callable[[Iterator[tuple[Any, ...]]], Iterator[Any]] | None = None
        self._values: Callable[[Iterator[tuple[Any, ...]]], Iterator[tuple[Any, ...]]] | None = None
        self._dtype: np.dtype[Any] | None = None
        self._texts: tuple[tuple[int, int], ...] | None = None
        self._row: type[Any] | None = None

    def __repr__(self) -> str:
        return f"<Schema {self.name}: {len(self.fields)} fields, {self.size} bytes>"

    @property
    def row(self) -> type[Any]:
        """The class of this schema's rows: a named tuple with one element a field."""
        if self._row is None:
            # What is no name in Python (a member called `from`) becomes _N, and is found by position.
            name = self.name if self.name.isidentifier() and not iskeyword(self.name) else "row"
            self._row = namedtuple(name, [field.name for field in self.fields], rename=True)  # type: ignore[misc]  # noqa: PYI024
        assert self._row is not None
        return self._row

    @property
    def process(self) -> Field | None:
        """The field that tells whose event it is: `pid`, `tgid` or `tid` by name, else the first with the meaning."""
        fields = [field for field in self.fields if field.meaning in PROCESS and field.bits is None]
        return next((field for field in fields if field.name in {"pid", "tgid", "tid"}), fields[0] if fields else None)

    @property
    def is_raw(self) -> bool:
        """Whether nothing is known of the records: each is one field, its bytes or its text."""
        return self.size == 0 and [field.type.kind for field in self.fields] in (["bytes"], ["text"])

    @property
    def is_text(self) -> bool:
        """Whether each record is one line of text, to be shown as it stands."""
        return self.is_raw and self.fields[0].type.kind == "text"

    def decode(self, record: bytes | memoryview) -> Any:
        """One record as a row.

        Args:
            record: the record's bytes, whole, cut short or padded.
        """
        if self.is_raw:
            return self.row(_text(bytes(record)) if self.is_text else bytes(record))
        if self._decode is None:
            self._decode = self._compiled("lambda {variables}: {row}")
        if len(record) < self.size:
            record = bytes(record) + bytes(self.size - len(record))
        return self._decode(*self._layout.unpack_from(record))

    def decode_all(self, records: memoryview) -> Iterator[Any]:
        """Records that lie one after the other, each of exactly this size, as rows.

        Args:
            records: all of them.
        """
        if self._decode_all is None:
            self._decode_all = self._compiled("lambda items: ({row} for ({variables}) in items)")
        return self._decode_all(self._layout.iter_unpack(records))

    def values(self, records: memoryview) -> Iterator[tuple[Any, ...]]:
        """The same as plain tuples, without names, in three quarters of the time; structs in them are rows.

        Args:
            records: one after the other, each of exactly this size.
        """
        if self._values is None:
            self._values = self._compiled("lambda items: ({values} for ({variables}) in items)")
        return self._values(self._layout.iter_unpack(records))

    def items(self, records: memoryview) -> Iterator[tuple[Any, ...]]:
        """The same, undecoded: as plain tuples of numbers and bytes, those of nested structs among them.

        Args:
            records: all of them.
        """
        return self._layout.iter_unpack(records)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy structured dtype of a record, offsets exact. Imports NumPy."""
        if self._dtype is None:
            import numpy as np

            self._dtype = np.dtype(_dtype(self.fields, self.size))
        return self._dtype

    @property
    def texts(self) -> tuple[tuple[int, int], ...]:
        """Offset and size of each text in a record, by offset: of structs and arrays, too, but none of a union's."""
        if self._texts is None:
            self._texts = tuple(sorted(_texts(self.fields, 0)))
        return self._texts

    @property
    def _layout(self) -> struct.Struct:
        if self._struct is None:
            self._compiler()
        assert self._struct is not None
        return self._struct

    def _compiled(self, source: str) -> Any:
        """A function over what the layout unpacks of a record.

        Args:
            source: its source, with {variables} for the names of what is unpacked, {values} for the tuple of the
                fields' values and {row} for that as a row.
        """
        compiler, values = self._compiler()
        row = f"new({compiler.name(self.row)}, {values})"
        # What is evaluated is made of field positions and numbers only, never of text from the object.
        return eval(source.format(variables=compiler.variables, values=values, row=row), compiler.names)  # noqa: S307

    def _compiler(self) -> tuple[_Compiler, str]:
        if self.size == 0:
            raise ValueError(f"struct {self.name} has no size: its records cannot be read")
        compiler = _Compiler()
        values = compiler.members(self.fields, 0)
        self._struct = struct.Struct(compiler.finish(self.size))
        return compiler, values


class _Known(dict[bytes, str]):
    """Texts that were seen before: those of events repeat, and looking one up is faster than decoding it."""

    __slots__ = ()

    def __missing__(self, raw: bytes) -> str:
        if len(self) >= _KNOWN_TEXTS:
            self.clear()
        text = self[raw] = _text(raw)
        return text


def decoder(type: Type) -> Callable[[bytes | memoryview], Any]:  # noqa: A002
    """A function from the bytes of a value of a type, alone, to the value: as it would stand in a row.

    Args:
        type: the type.
    """
    compiler = _Compiler()
    expression = compiler.value(type, 0)
    compiler.names["unpack"] = struct.Struct(compiler.finish(type.size)).unpack_from
    if expression == "v0":
        decode = eval("lambda data: unpack(data)[0]", compiler.names)  # noqa: S307
    else:
        build = f"lambda {compiler.variables}: {expression}"
        decode = eval(f"lambda data: ({build})(*unpack(data))", compiler.names)  # noqa: S307
    return decode  # type: ignore[no-any-return]


def format_code(type: Type) -> str | None:  # noqa: A002
    """The code by which `struct` reads and writes a number of a type; None for what is no number, or too large for it.

    Args:
        type: the type.
    """
    match type.kind:
        case "int" | "enum":
            return _INTEGERS.get((type.size, type.signed))
        case "pointer":
            return _INTEGERS[type.size, False]
        case "bool" if type.size == 1:
            return "?"
        case "float":
            return _FLOATS.get(type.size)
    return None


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _bits(raw: bytes, shift: int, width: int, signed: bool) -> int:  # noqa: FBT001
    if sys.byteorder == "big":
        shift = len(raw) * 8 - shift - width
    value = int.from_bytes(raw, sys.byteorder) >> shift & (1 << width) - 1
    return value - (1 << width) if signed and value >> (width - 1) else value


class _Compiler:
    """Turns fields into a `struct` format and an expression over its tuple `v` that builds the row."""

    def __init__(self) -> None:
        self.format = ["="]
        self.end = 0  # bytes that the format covers
        self.items = 0  # elements that it yields
        self.names: dict[str, Any] = {"text": _text, "known": _Known(), "bits": _bits, "from_bytes": int.from_bytes}
        self.names["new"] = tuple.__new__

    def finish(self, size: int) -> str:
        self.pad_to(size)
        return "".join(self.format)

    def pad_to(self, offset: int) -> None:
        if offset > self.end:
            self.format.append(f"{offset - self.end}x")
            self.end = offset

    def take(self, code: str, size: int) -> str:
        self.format.append(code)
        self.end += size
        self.items += 1
        return f"v{self.items - 1}"

    @property
    def variables(self) -> str:
        """What the elements are called in the expression."""
        return "".join(f"v{number}, " for number in range(self.items))

    def name(self, value: Any) -> str:
        self.names[f"n{len(self.names)}"] = value
        return f"n{len(self.names) - 1}"

    def members(self, fields: tuple[Field, ...], base: int) -> str:
        """The expression for the tuple of the fields' values."""
        # Fields at rising offsets are read in turn; any that overlap (unions, bitfields) are cut from one run of bytes.
        # Fields without a size (flexible arrays) have no bytes, and may lie anywhere, even among those that overlap.
        parts = ["" if field.size else self.value(field.type, 0) for field in fields]
        order = sorted(
            (index for index, field in enumerate(fields) if field.size), key=lambda index: fields[index].offset
        )
        group: list[int] = []
        group_end = 0
        for index in [*order, -1]:
            field = fields[index] if index >= 0 else None
            if field is not None and (not group or field.offset < group_end):
                group.append(index)
                group_end = max(group_end, field.offset + field.size)
                continue
            if group:
                self.group(fields, group, base, group_end, parts)
            if field is not None:
                group, group_end = [index], field.offset + field.size
        return f"({''.join(part + ',' for part in parts)})"

    def group(self, fields: tuple[Field, ...], group: list[int], base: int, end: int, parts: list[str]) -> None:
        start = fields[group[0]].offset
        self.pad_to(base + start)
        if len(group) == 1 and fields[group[0]].bits is None:
            field = fields[group[0]]
            parts[group[0]] = self.value(field.type, base + field.offset)
            return
        raw = self.take(f"{end - start}s", end - start)
        for index in group:
            field = fields[index]
            cut = f"{raw}[{field.offset - start}:{field.offset - start + field.size}]"
            if field.bits is not None:
                parts[index] = f"bits({cut}, {field.bits[0]}, {field.bits[1]}, {field.type.signed})"
                if field.type.kind == "bool":
                    parts[index] += " != 0"
            elif field.type.kind in {"int", "enum", "pointer"}:
                parts[index] = f"from_bytes({cut}, {sys.byteorder!r}, signed={field.type.signed})"
            else:
                alone = Schema("", field.size, (Field("value", 0, field.size, field.type),))
                parts[index] = f"{self.name(alone.decode)}({cut})[0]"

    def value(self, type: Type, base: int) -> str:  # noqa: A002
        size = type.size
        code = format_code(type)
        if code is not None:
            return self.take(code, size)
        match type.kind:
            case "int":
                return f"from_bytes({self.take(f'{size}s', size)}, {sys.byteorder!r}, signed={type.signed})"
            case "text":
                taken = self.take(f"{size}s", size)
                return f"known[{taken}]" if size <= _SHORT_TEXT else f"text({taken})"
            case "struct" | "union":
                row = Schema(type.name.rpartition(" ")[2], size, type.fields).row
                return f"new({self.name(row)}, {self.members(type.fields, base)})"
            case "array" if size == 0:
                return "()"
            case "array" if type.element is not None:
                return self.array(type, type.element)
            case _:
                return self.take(f"{size}s", size)

    def array(self, type: Type, element: Type) -> str:  # noqa: A002
        code = format_code(element) if element.kind in {"int", "enum"} else None
        if code is not None and type.count <= _SHORT_ARRAY:
            return f"({''.join(f'{self.take(code, element.size)}, ' for _ in range(type.count))})"
        if code is not None:
            numbers = struct.Struct(f"={type.count}{code}")
            return f"{self.name(numbers.unpack)}({self.take(f'{type.size}s', type.size)})"
        decoder = Schema("", element.size, (Field("element", 0, element.size, element),))
        name = self.name(lambda raw: tuple(row[0] for row in decoder.decode_all(memoryview(raw))))
        return f"{name}({self.take(f'{type.size}s', type.size)})"


def _texts(fields: tuple[Field, ...], base: int) -> Iterator[tuple[int, int]]:
    for field in fields:
        # What shares its bytes with a text may be what is meant.
        if not any(other is not field and _overlap(field, other) for other in fields):
            yield from _texts_of(field.type, base + field.offset)


def _overlap(one: Field, other: Field) -> bool:
    return one.offset < other.offset + other.size and other.offset < one.offset + one.size


def _texts_of(type: Type, base: int) -> Iterator[tuple[int, int]]:  # noqa: A002
    if type.kind == "text" and type.size:
        yield base, type.size
    elif type.kind == "struct":
        yield from _texts(type.fields, base)
    elif type.kind == "array" and type.element is not None:
        for index in range(type.count):
            yield from _texts_of(type.element, base + index * type.element.size)


def _dtype(fields: tuple[Field, ...], size: int) -> Any:
    # NumPy's description of a struct. A bitfield is given as the bytes that hold it.
    return {
        "names": [field.name or f"_{index}" for index, field in enumerate(fields)],
        "formats": [dtype_of(field.type) if field.bits is None else f"V{field.size}" for field in fields],
        "offsets": [field.offset for field in fields],
        "itemsize": size,
    }


def dtype_of(type: Type) -> Any:  # noqa: A002
    """What NumPy makes a dtype of, offsets exact.

    Args:
        type: the type.
    """
    match type.kind:
        case "int" | "enum" | "pointer" if type.size <= 8:
            return f"{'i' if type.signed else 'u'}{type.size}"
        case "bool":
            return "?"
        case "float":
            return f"f{type.size}"
        case "text":
            return f"S{type.size}"
        case "struct" | "union":
            return _dtype(type.fields, type.size)
        case "array" if type.element is not None:
            return (dtype_of(type.element), (type.count,))
        case _:
            return f"V{type.size}"
