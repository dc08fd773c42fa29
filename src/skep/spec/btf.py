"""BTF of a kernel file -> `skep.base.schema` types: the layouts of its events, map keys and values, and variables.

Only a kernel file's own, small BTF is read in Python; that of the kernel (126,000 types) is libbpf's to read. Types are
read when asked for. The bytes may come from anybody: whatever does not fit raises `ObjectFormatError`.

Source: Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import struct

from skep.base.errors import ObjectFormatError
from skep.base.schema import Field, Schema, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Btf", "Raw"]

INT, POINTER, ARRAY, STRUCT, UNION, ENUM, FORWARD, TYPEDEF, VOLATILE, CONST = range(1, 11)
RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(11, 20)

_MODIFIERS = {TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG}
# Bytes after the common 12 of each kind: fixed, and for each of vlen entries.
_EXTRA = {INT: (4, 0), ARRAY: (12, 0), STRUCT: (0, 12), UNION: (0, 12), ENUM: (0, 8), FUNC_PROTO: (0, 8)}
_EXTRA |= {VAR: (4, 0), DATASEC: (0, 12), DECL_TAG: (4, 0), ENUM64: (0, 12)}
# A chain of types longer than this, or a struct nested deeper, is a circle or an attack.
_DEEPEST = 64
# A record has at most this many fields once anonymous structs are opened; C's own code generators stay far below.
_WIDEST = 4096


class Raw:
    """One type as BTF states it: `size_or_type` is a size in bytes or a type's number, by kind."""

    __slots__ = ("flag", "kind", "name", "offset", "size_or_type", "vlen")

    def __init__(self, name: str, kind: int, vlen: int, flag: int, size_or_type: int, offset: int) -> None:  # noqa: PLR0917
        self.name = name
        self.kind = kind
        self.vlen = vlen
        self.flag = flag
        self.size_or_type = size_or_type
        self.offset = offset


class Btf:
    """The type information of one object.

    Args:
        data: the .BTF section.
        byte_order: ``<`` or ``>``, as the object's.
        file: the object's name, for messages.

    Raises:
        ObjectFormatError: the section is damaged. Reading a single type later may raise it too.
    """

    def __init__(self, data: memoryview, byte_order: str, file: str) -> None:
        self._data = data
        self._order = byte_order
        self._file = file
        self._types: dict[int, Type] = {}
        try:
            self._index()
        except struct.error as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, why: str) -> ObjectFormatError:
        return ObjectFormatError(f"{self._file}: its BTF is damaged: {why}", remedy="Build it again.")

    def _index(self) -> None:
        # hdr_len is honoured, never assumed: Linux 7.1 made the header longer.
        magic, _, _, header, types, types_size, strings, strings_size = struct.unpack_from(
            f"{self._order}HBBIIIII", self._data
        )
        if magic != 0xEB9F:
            raise self._damaged("no magic number")
        start, end = header + types, header + types + types_size
        self._strings = header + strings
        self._strings_end = self._strings + strings_size
        if end > len(self._data) or self._strings_end > len(self._data):
            raise self._damaged("it is cut short")
        common = struct.Struct(f"{self._order}III")
        self._raw = [Raw("void", 0, 0, 0, 0, 0)]
        position = start
        while position + 12 <= end:
            name, info, size = common.unpack_from(self._data, position)
            kind, vlen = info >> 24 & 31, info & 0xFFFF
            if not 1 <= kind <= ENUM64:
                raise self._damaged(f"kind {kind} is unknown")
            self._raw.append(Raw(self.string(name), kind, vlen, info >> 31, size, position + 12))
            fixed, each = _EXTRA.get(kind, (0, 0))
            position += 12 + fixed + vlen * each
        if position != end:
            raise self._damaged("its types do not fill their section")

    def string(self, offset: int) -> str:
        """The string at that offset of the string section."""
        start = self._strings + offset
        if start >= self._strings_end:
            raise self._damaged("a name lies outside of its strings")
        end = min(start + 4096, self._strings_end)
        return bytes(self._data[start:end]).partition(b"\0")[0].decode("utf-8", "replace")

    def raw(self, number: int) -> Raw:
        """The type of that number."""
        if number >= len(self._raw):
            raise self._damaged(f"type {number} does not exist")
        return self._raw[number]

    def __iter__(self) -> Iterator[tuple[int, Raw]]:
        return enumerate(self._raw)

    def find(self, kind: int, name: str) -> int | None:
        """The number of the first type of that kind and name."""
        for number, raw in enumerate(self._raw):
            if raw.kind == kind and raw.name == name:
                return number
        return None

    def entries(self, raw: Raw, layout: str) -> Iterator[tuple[int, ...]]:
        """The vlen entries behind a type, each unpacked by that `struct` layout."""
        entry = struct.Struct(self._order + layout)
        if raw.offset + raw.vlen * entry.size > len(self._data):
            raise self._damaged("a type is cut short")
        return entry.iter_unpack(self._data[raw.offset : raw.offset + raw.vlen * entry.size])

    def unpack(self, raw: Raw, layout: str) -> tuple[int, ...]:
        """The fixed part behind a type."""
        try:
            return struct.unpack_from(self._order + layout, self._data, raw.offset)
        except struct.error as error:
            raise self._damaged(str(error)) from error

    def strip(self, number: int) -> int:
        """The type behind typedefs and qualifiers."""
        for _ in range(_DEEPEST):
            raw = self.raw(number)
            if raw.kind not in _MODIFIERS:
                return number
            number = raw.size_or_type
        raise self._damaged("a typedef goes in a circle")

    def type(self, number: int) -> Type:
        """The type of that number, with all that it holds."""
        return self._type(number, 0)

    def schema(self, number: int) -> Schema | None:
        """The layout of a struct or union (behind typedefs) as that of a record; None for other types."""
        type_ = self.type(number)
        if type_.kind not in {"struct", "union"}:
            return None
        name = type_.name.rpartition(" ")[2]
        return Schema(name if name != "{...}" else self.raw(number).name, type_.size, type_.fields)

    def _type(self, number: int, depth: int) -> Type:
        known = self._types.get(number)
        if known is None:
            if depth > _DEEPEST:
                raise self._damaged("a struct holds itself")
            known = self._types[number] = self._read(number, depth)
        return known

    def _read(self, number: int, depth: int) -> Type:
        raw = self.raw(number)
        name = raw.name
        match raw.kind:
            case 0:
                return Type("bytes", 0, "void")
            case 1:  # INT
                (encoding,) = self.unpack(raw, "I")
                signed, size = bool(encoding >> 24 & 1), raw.size_or_type
                return Type("bool" if encoding >> 24 & 4 else "int", size, name, signed=signed)
            case 16:  # FLOAT
                return Type("float", raw.size_or_type, name)
            case 2:  # POINTER
                return Type("pointer", 8, f"{self._name(raw.size_or_type)} *")
            case 6 | 19:  # ENUM, ENUM64
                return self._enum(raw)
            case 3:  # ARRAY
                return self._array(raw, depth)
            case 4 | 5:  # STRUCT, UNION
                kind = "struct" if raw.kind == STRUCT else "union"
                fields = self._fields(raw, depth)
                return Type(kind, raw.size_or_type, f"{kind} {name or '{...}'}", fields=fields)
            case kind if kind in _MODIFIERS:
                inner = self._type(raw.size_or_type, depth + 1)
                return _renamed(inner, name) if kind == TYPEDEF else inner
            case _:
                return Type("bytes", 0, name or "void")

    def _name(self, number: int, depth: int = 0) -> str:
        """How C calls a type. A pointer's target is named, not read: it may be the struct that holds the pointer."""
        raw = self.raw(number)
        if depth > _DEEPEST:
            raise self._damaged("a type goes in a circle")
        match raw.kind:
            case 4 | 7:
                return f"struct {raw.name}"
            case 5:
                return f"union {raw.name}"
            case 2:
                return f"{self._name(raw.size_or_type, depth + 1)} *"
            case 9 | 10 | 11 | 18:
                return self._name(raw.size_or_type, depth + 1)
            case 13:
                return "function"
            case _:
                return raw.name or "void"

    def _enum(self, raw: Raw) -> Type:
        names = {}
        if raw.kind == ENUM:
            for name, value in self.entries(raw, "Ii" if raw.flag else "II"):
                names[value] = self.string(name)
        else:
            for name, low, high in self.entries(raw, "III"):
                value = high << 32 | low
                names[value - (1 << 64) if raw.flag and value >> 63 else value] = self.string(name)
        return Type("enum", raw.size_or_type, f"enum {raw.name}", signed=bool(raw.flag), enum=names)

    def _array(self, raw: Raw, depth: int) -> Type:
        element_number, _, count = self.unpack(raw, "III")
        element = self._type(element_number, depth + 1)
        name = f"{element.name}[{count}]"
        # `char` is signed on x86-64 and its BTF name is all that tells text from numbers.
        if element.kind == "int" and element.size == 1 and self.raw(self.strip(element_number)).name == "char":
            return Type("text", count, name, count=count)
        return Type("array", element.size * count, name, element=element, count=count)

    def _fields(self, raw: Raw, depth: int) -> tuple[Field, ...]:
        fields: list[Field] = []
        for name, number, bits in self.entries(raw, "III"):
            width, bit = (bits >> 24, bits & 0xFFFFFF) if raw.flag else (0, bits)
            type_ = self._type(number, depth + 1)
            if width:
                first, last = bit // 8, (bit + width + 7) // 8
                fields.append(Field(self.string(name), first, last - first, type_, None, (bit - first * 8, width)))
            elif not self.string(name) and type_.kind in {"struct", "union"}:
                # Members of an anonymous struct or union are used as if they stood in the outer one.
                fields += [
                    Field(inner.name, bit // 8 + inner.offset, inner.size, inner.type, inner.meaning, inner.bits)
                    for inner in type_.fields
                ]
            else:
                fields.append(Field(self.string(name), bit // 8, type_.size, type_))
            if fields and (fields[-1].offset + fields[-1].size > raw.size_or_type or len(fields) > _WIDEST):
                raise self._damaged(f"struct {raw.name} is smaller than its members")
        return tuple(fields)

    def variables(self, section: str) -> Mapping[str, tuple[int, int, int]]:
        """The variables of a section: name -> (offset, size, number of the type)."""
        number = self.find(DATASEC, section)
        if number is None:
            return {}
        found = {}
        for variable, offset, size in self.entries(self.raw(number), "III"):
            raw = self.raw(variable)
            if raw.kind == VAR:
                found[raw.name] = (offset, size, raw.size_or_type)
        return found


def _renamed(type_: Type, name: str) -> Type:
    """A typedef keeps its own name: `u32`, `pid_t` and `__be16` say more than `unsigned int`."""
    return Type(
        type_.kind,
        type_.size,
        name,
        signed=type_.signed,
        element=type_.element,
        count=type_.count,
        fields=type_.fields,
        enum=type_.enum,
    )
