"""BTF of a kernel file -> `skep.base.schema` types: the layouts of its events, map keys and values, and variables.

Only a kernel file's own, small BTF is read in Python; that of the kernel (126,000 types) is libbpf's to read. Types are
read when asked for. The bytes may come from anybody: whatever does not fit, and whatever would take unreasonable time
or memory to read, raises `ObjectFormatError`.

Source: Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import struct

from skep.base.errors import ObjectFormatError
from skep.base.schema import Field, Type

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
# An enum of no size is one that is only declared.
_SIZES = {INT: {1, 2, 4, 8, 16}, FLOAT: {2, 4, 8, 12, 16}, ENUM: {0, 1, 2, 4, 8}, ENUM64: {8}}
# What C writes before the names of types.
_WORDS = {STRUCT: "struct ", UNION: "union ", ENUM: "enum ", ENUM64: "enum ", INT: "", FLOAT: "", TYPEDEF: ""}
# A chain of types longer than this, or a struct nested deeper, is a circle or an attack.
_DEEPEST = 64
# Members of a struct, those of the structs in it included. A few types that hold each other twice would else describe a
# record of 2^64 members. Generated code stays far below.
_WIDEST = 4096
# The same for all types together that are read of one object, which may hold each other side by side.
_MOST_MEMBERS = 1 << 13
# Of one section, as many as an object may have symbols.
_MOST_VARIABLES = 1 << 12
# The types and the bytes of a name that the kernel takes are fewer than this (KSYM_NAME_LEN).
_MOST_TYPES = 1 << 16
_LONGEST_NAME = 512


class Raw:
    """One type as BTF states it.

    Args:
        name: "" for an anonymous one.
        kind: one of the numbers above.
        vlen: how many entries stand behind it.
        flag: the kind_flag: bitfields in a struct, signed values in an enum, a union in a forward declaration.
        size_or_type: a size in bytes or a type's number, by kind.
        offset: in the section, of what stands behind the common part.
    """

    __slots__ = ("flag", "kind", "name", "offset", "size_or_type", "vlen")

    def __init__(self, name: str, kind: int, vlen: int, flag: int, size_or_type: int, offset: int) -> None:
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
        self._data = bytes(data)
        self._order = byte_order
        self._file = file
        self._types: dict[int, Type] = {}
        self._widths: dict[int, int] = {}
        self._members = 0
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
        self._numbers: dict[tuple[int, str], int] = {}
        position = start
        while position + 12 <= end:
            name, info, size = common.unpack_from(self._data, position)
            kind, vlen = info >> 24 & 31, info & 0xFFFF
            if not 1 <= kind <= ENUM64:
                raise self._damaged(f"kind {kind} is unknown")
            if kind in _SIZES and size not in _SIZES[kind]:
                raise self._damaged(f"a number of {size} bytes")
            raw = Raw(self.string(name), kind, vlen, info >> 31, size, position + 12)
            self._numbers.setdefault((kind, raw.name), len(self._raw))
            self._raw.append(raw)
            fixed, each = _EXTRA.get(kind, (0, 0))
            position += 12 + fixed + vlen * each
            if len(self._raw) > _MOST_TYPES:
                raise self._damaged(f"it has more than {_MOST_TYPES} types")
        if position != end:
            raise self._damaged("its types do not fill their section")

    def string(self, offset: int) -> str:
        """The string at that offset of the string section."""
        start = self._strings + offset
        if start >= self._strings_end:
            raise self._damaged("a name lies outside of its strings")
        end = self._data.find(b"\0", start, min(start + _LONGEST_NAME, self._strings_end))
        if end < 0:
            raise self._damaged("a name has no end")
        return self._data[start:end].decode("utf-8", "replace")

    def raw(self, number: int) -> Raw:
        """The type of that number."""
        if number >= len(self._raw):
            raise self._damaged(f"type {number} does not exist")
        return self._raw[number]

    def __len__(self) -> int:
        """How many types there are, `void` included."""
        return len(self._raw)

    def names(self) -> set[str]:
        """How C calls the types that have names: ``struct event``, ``event_t``, ``u64``."""
        return {f"{_WORDS[kind]}{name}" for kind, name in self._numbers if name and kind in _WORDS}

    def named(self, name: str) -> int | None:
        """The number of the type that C calls by that name."""
        found = (self.find(kind, name.removeprefix(word)) for kind, word in _WORDS.items() if name.startswith(word))
        return next((number for number in found if number is not None), None)

    def references(self, number: int) -> list[int]:
        """The types that a type leads to at once."""
        raw = self.raw(number)
        if raw.kind in {STRUCT, UNION}:
            return [member for _, member, _ in self.entries(raw, "III")]
        if raw.kind == ARRAY:
            return list(self.unpack(raw, "II"))
        if raw.kind == FUNC_PROTO:
            return [raw.size_or_type, *(parameter for _, parameter in self.entries(raw, "II"))]
        if raw.kind == DATASEC:
            return [variable for variable, _, _ in self.entries(raw, "III")]
        return [] if raw.kind in {INT, FLOAT, ENUM, ENUM64, FORWARD} else [raw.size_or_type]

    def find(self, kind: int, name: str) -> int | None:
        """The number of the first type of that kind and name."""
        return self._numbers.get((kind, name))

    def entries(self, raw: Raw, layout: str) -> Iterator[tuple[int, ...]]:
        """The vlen entries behind a type, each unpacked by that `struct` layout."""
        entry = struct.Struct(self._order + layout)
        return entry.iter_unpack(self._data[raw.offset : raw.offset + raw.vlen * entry.size])

    def unpack(self, raw: Raw, layout: str) -> tuple[int, ...]:
        """The fixed part behind a type."""
        return struct.unpack_from(self._order + layout, self._data, raw.offset)

    def chain(self, number: int) -> Iterator[int]:
        """The type of that number, then one by one what its typedefs and qualifiers lead to."""
        for _ in range(_DEEPEST):
            yield number
            raw = self.raw(number)
            if raw.kind not in _MODIFIERS:
                return
            number = raw.size_or_type
        raise self._damaged("a typedef goes in a circle")

    def strip(self, number: int) -> int:
        """The type behind typedefs and qualifiers."""
        *_, last = self.chain(number)
        return last

    def is_volatile(self, number: int) -> bool:
        """Is that type volatile? Of an array, it is the elements that are."""
        for link in self.chain(number):
            raw = self.raw(link)
            if raw.kind == VOLATILE:
                return True
            if raw.kind == ARRAY:
                return any(self.raw(inner).kind == VOLATILE for inner in self.chain(self._innermost(raw)))
        return False

    def _innermost(self, array: Raw) -> int:
        """What an array of arrays holds."""
        for _ in range(_DEEPEST):
            element = self.unpack(array, "III")[0]
            inner = self.raw(element)
            if inner.kind != ARRAY:
                return element
            array = inner
        raise self._damaged("an array holds itself")

    def type(self, number: int) -> Type:
        """The type of that number, with all that it holds."""
        return self._type(number, 0)

    def _type(self, number: int, depth: int) -> Type:
        known = self._types.get(number)
        if known is None:
            if depth > _DEEPEST:
                raise self._damaged("a type holds itself")
            known = self._types[number] = self._read(number, depth)
        return known

    def _read(self, number: int, depth: int) -> Type:
        raw = self.raw(number)
        kind, name = raw.kind, raw.name
        self._widths[number] = 1
        if kind == INT:
            encoding = self.unpack(raw, "I")[0] >> 24
            return Type("bool" if encoding & 4 else "int", raw.size_or_type, name, signed=bool(encoding & 1))
        if kind == FLOAT:
            return Type("float", raw.size_or_type, name)
        if kind == POINTER:
            return Type("pointer", 8, f"{self._name(raw.size_or_type)} *")
        if kind in {ENUM, ENUM64} and raw.size_or_type:
            return self._enum(raw)
        if kind == ARRAY:
            return self._array(number, raw, depth)
        if kind in {STRUCT, UNION}:
            word = "struct" if kind == STRUCT else "union"
            return Type(word, raw.size_or_type, f"{word} {name or '{...}'}", fields=self._fields(number, raw, depth))
        if kind in _MODIFIERS:
            inner = self._type(raw.size_or_type, depth + 1)
            self._widths[number] = self._widths[raw.size_or_type]
            return _renamed(inner, name) if kind == TYPEDEF else inner
        return Type("bytes", 0, name or "void")

    def _name(self, number: int) -> str:
        """How C calls a type. A pointer's target is named, not read: it may be the struct that holds the pointer."""
        stars = ""
        for _ in range(_DEEPEST):
            raw = self.raw(number)
            if raw.kind == POINTER:
                stars += " *"
            elif raw.kind not in _MODIFIERS or raw.kind == TYPEDEF:
                break
            number = raw.size_or_type
        else:
            raise self._damaged("a pointer goes in a circle")
        if raw.kind in {STRUCT, UNION, FORWARD, ENUM, ENUM64}:
            words = {STRUCT: "struct", UNION: "union", FORWARD: "union" if raw.flag else "struct"}
            return f"{words.get(raw.kind, 'enum')} {raw.name or '{...}'}{stars}"
        return ("function" if raw.kind == FUNC_PROTO else raw.name or "void") + stars

    def _enum(self, raw: Raw) -> Type:
        name = f"enum {raw.name or '{...}'}"
        if raw.kind == ENUM64:
            values = [(self.string(text), high << 32 | low) for text, low, high in self.entries(raw, "III")]
            signed, bits = bool(raw.flag), 64
        else:
            values = [(self.string(text), value) for text, value in self.entries(raw, "II")]
            # Only clang 16 and newer flag an enum with negative values. Before, one just below 2^32 is taken for such.
            large = [value for _, value in values if value >> 31]
            signed, bits = bool(raw.flag or (large and min(large) >= 0xFFFF0000)), 32
            if raw.size_or_type == 8:
                # Older ones also cut the values of an enum of 64 bits to 32: no name is better than a wrong one.
                values = []
        # Of several names for one value the first counts, as for bpftool.
        names: dict[int, str] = {}
        for text, value in values:
            names.setdefault(value - (1 << bits) if signed and value >> bits - 1 else value, text)
        return Type("enum", raw.size_or_type, name, signed=signed, enum=names)

    def _array(self, number: int, raw: Raw, depth: int) -> Type:
        element_number, _, count = self.unpack(raw, "III")
        element = self._type(element_number, depth + 1)
        self._widths[number] = self._widths[element_number]
        # `int a[2][3]` is an array of 2 arrays of 3: the outermost count comes first.
        base, bracket, counts = element.name.partition("[")
        name = f"{base}[{count}]{bracket}{counts}"
        # `char` is signed on x86-64 and its BTF name is all that tells text from numbers.
        if element.kind == "int" and element.size == 1 and self.raw(self.strip(element_number)).name == "char":
            return Type("text", count, name, count=count)
        return Type("array", element.size * count, name, element=element, count=count)

    def _fields(self, number: int, raw: Raw, depth: int) -> tuple[Field, ...]:
        fields: list[Field] = []
        for text, member, place in self.entries(raw, "III"):
            name, type_ = self.string(text), self._type(member, depth + 1)
            width, bit = (place >> 24, place & 0xFFFFFF) if raw.flag else (0, place)
            first, last = bit // 8, (bit + width + 7) // 8 if width else bit // 8 + type_.size
            if last > raw.size_or_type:
                raise self._damaged(f"struct {raw.name} is smaller than its members")
            if width:
                if width > type_.size * 8 or type_.kind not in {"int", "bool", "enum"}:
                    raise self._damaged(f"{type_.name} {name} cannot have {width} bits")
                fields.append(Field(name, first, last - first, type_, None, (bit - first * 8, width)))
            elif not name and type_.kind in {"struct", "union"}:
                # Members of an anonymous struct or union are used as if they stood in the outer one.
                fields += [
                    Field(inner.name, first + inner.offset, inner.size, inner.type, inner.meaning, inner.bits)
                    for inner in type_.fields
                ]
            else:
                fields.append(Field(name, first, type_.size, type_))
            self._widths[number] += self._widths[member]
            if self._widths[number] > _WIDEST:
                raise self._damaged(f"struct {raw.name} has more than {_WIDEST} members")
        self._members += len(fields)
        if self._members > _MOST_MEMBERS:
            raise self._damaged(f"its structs have more than {_MOST_MEMBERS} members")
        return tuple(fields)

    def variables(self, section: str) -> Mapping[str, tuple[int, int]]:
        """The variables of a section: name -> (size in bytes, number of the type).

        Their offsets stand in the symbol table: those of BTF are 0 until libbpf fills them in.
        """
        number = self.find(DATASEC, section)
        if number is None:
            return {}
        raw, found = self.raw(number), {}
        if raw.vlen > _MOST_VARIABLES:
            raise self._damaged(f"section {section} has more than {_MOST_VARIABLES} variables")
        for variable, _, size in self.entries(raw, "III"):
            each = self.raw(variable)
            if each.kind == VAR:
                found[each.name] = (size, each.size_or_type)
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
