"""From a value to the kernel's bytes, by type: what `skep.base.schema` reads, this writes.

A number is written as one, an enum also by name, text as `str` or bytes. A struct is given as its row, a tuple, a dict,
or any object with attributes of its members' names, such as a row of another struct. Of members that share their bytes
(a union's) one is enough; more have to agree. Bytes of exactly the type's size always are what they are.

What is worked out of a type is worked out once, in `encoder`. What does not fit is a `MisfitError` that knows where.
"""

from __future__ import annotations

import operator
import struct
import sys

from skep.base.nearest import nearest
from skep.base.schema import Schema, decoder, format_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias

    from skep.base.schema import Field, Type

    Encode: TypeAlias = Callable[[Any], bytes]

__all__ = ["MisfitError", "encoder", "number"]


class MisfitError(Exception):
    """A value that its type does not take.

    Args:
        reason: what the type takes, as what follows its name: ``takes a u8, 0 to 255``.
        remedy: what was probably meant.
    """

    def __init__(self, reason: str, remedy: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.place = ""

    def within(self, member: str) -> MisfitError:
        """The same, seen from what holds the value.

        Args:
            member: the name of a member, or an index in brackets.
        """
        self.place = f"{member}.{self.place}" if self.place and self.place[0] != "[" else f"{member}{self.place}"
        return self

    def told(self, what: str) -> str:
        """The whole sentence.

        Args:
            what: the value's name.
        """
        return f"{self.place} of {what} {self.reason}" if self.place else f"{what} {self.reason}"


def encoder(type: Type) -> Encode:  # noqa: A002
    """A function from a value of a type to its bytes. It raises `MisfitError`.

    Args:
        type: the type.
    """
    match type.kind:
        case "int" | "enum" | "pointer" | "bool":
            return _Number(type)
        case "float" if format_code(type):
            return _Float(type)
        case "text":
            return _Text(type)
        case "array" if type.element is not None:
            return _Array(type, type.element)
        case "struct" | "union":
            return _Overlapping(type) if _overlaps(type) else _Struct(type)
        case _:
            return _Bytes(type)


def number(type: Type, value: Any, bits: int | None = None) -> int:  # noqa: A002
    """A number that a type takes: a number, or the name that an enum has for it.

    Args:
        type: an ``int``, ``enum``, ``bool`` or ``pointer``.
        value: what is given.
        bits: how many the number has, where it has fewer than its type.

    Raises:
        MisfitError: it takes none like this.
    """
    if type.kind == "enum" and isinstance(value, str):
        return _enumerator(type, value)
    bits = bits or (1 if type.kind == "bool" else type.size * 8)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if type.signed else (0, (1 << bits) - 1)
    try:
        # It takes the integers of NumPy too, and no number with a fraction.
        given = operator.index(value)
    except TypeError:
        given = None
    if given is None or not low <= given <= high:
        raise MisfitError(f"takes a {type.name}, {low} to {high}")
    return given


def _enumerator(type: Type, name: str) -> int:  # noqa: A002
    names = {known: value for value, known in (type.enum or {}).items()}
    if name not in names:
        # Compilers before clang 15 keep no names of an enum of 64 bits.
        takes = f"one of {', '.join(names)}, or a number" if names else "a number"
        meant = next((known for known in names if known.lower() == name.lower()), None)
        raise MisfitError(f"takes {takes}, not {name!r}", f"Did you mean {meant}?" if meant else None)
    return names[name]


class _Number:
    __slots__ = ("_pack", "_type")

    def __init__(self, type: Type) -> None:  # noqa: A002
        self._type = type
        # A bool is packed by hand: `struct` would take any object for one.
        code = format_code(type) if type.kind != "bool" else None
        self._pack = struct.Struct(f"={code}").pack if code else None

    def __call__(self, value: Any) -> bytes:
        if self._pack is not None:
            try:
                return self._pack(value)
            except struct.error:
                pass
        held = self._type
        if isinstance(value, (bytes, bytearray)) and len(value) == held.size:
            return bytes(value)
        return number(held, value).to_bytes(held.size, sys.byteorder, signed=held.signed)


class _Float:
    __slots__ = ("_pack", "_type")

    def __init__(self, type: Type) -> None:  # noqa: A002
        self._type = type
        # With the "=", what is too large for 32 bits is refused; natively it would become infinite.
        self._pack = struct.Struct(f"={format_code(type)}").pack

    def __call__(self, value: Any) -> bytes:
        try:
            return self._pack(value)
        except (struct.error, OverflowError):
            if isinstance(value, (bytes, bytearray)) and len(value) == self._type.size:
                return bytes(value)
        raise MisfitError(f"takes a {self._type.name}, not {value!r}")


class _Text:
    __slots__ = ("_size",)

    def __init__(self, type: Type) -> None:  # noqa: A002
        self._size = type.size

    def __call__(self, value: Any) -> bytes:
        if isinstance(value, str):
            if "\0" in value:
                raise MisfitError(f"takes text without NUL, not {value!r}")
            try:
                value = value.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:
                raise MisfitError(f"takes text, and half a character is none: {value!r}") from None
        elif not isinstance(value, (bytes, bytearray)):
            raise MisfitError(f"takes text, not {value!r}")
        if len(value) > self._size:
            raise MisfitError(f"takes at most {self._size} bytes of text, not {len(value)}")
        return bytes(value).ljust(self._size, b"\0")


class _Bytes:
    __slots__ = ("_type",)

    def __init__(self, type: Type) -> None:  # noqa: A002
        self._type = type

    def __call__(self, value: Any) -> bytes:
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise MisfitError(f"is a {self._type.name}, which takes {self._type.size} bytes")
        if len(value) != self._type.size:
            raise MisfitError(f"is a {self._type.name}, which takes {self._type.size} bytes, not {len(value)}")
        return bytes(value)


class _Array:
    __slots__ = ("_each", "_pack", "_type")

    def __init__(self, type: Type, element: Type) -> None:  # noqa: A002
        self._type = type
        self._each = encoder(element)
        code = format_code(element) if element.kind in {"int", "enum"} else None
        self._pack = struct.Struct(f"={type.count}{code}").pack if code else None

    def __call__(self, value: Any) -> bytes:
        count = self._type.count if self._type.size else 0
        if isinstance(value, (bytes, bytearray)) and len(value) == self._type.size:
            return bytes(value)
        try:
            given = len(value)
        except TypeError:
            given = -1
        if given != count or isinstance(value, (str, dict)):
            seen = f"{given} of them" if given >= 0 and not isinstance(value, (str, dict)) else repr(value)
            raise MisfitError(f"is a {self._type.name}, which takes {count} values, not {seen}")
        if self._pack is not None:
            try:
                return self._pack(*value)
            except struct.error:
                pass  # The one that it is, is found below.
        parts = []
        for index, item in enumerate(value):
            try:
                parts.append(self._each(item))
            except MisfitError as error:
                raise error.within(f"[{index}]") from None
        return b"".join(parts)


class _Members:
    """What a struct or union is given as: its members, by position."""

    __slots__ = ("_encoders", "_names", "_rows", "_shared", "_type")

    def __init__(self, type: Type) -> None:  # noqa: A002
        self._type = type
        self._names = [field.name for field in type.fields]
        # A row calls members by other names where Python takes theirs for something else.
        self._rows = Schema("", type.size, type.fields).row._fields
        self._encoders = [_Bits(field) if field.bits else encoder(field.type) for field in type.fields]
        # Of each member, the others that have bits in common with it.
        self._shared: list[set[int]] = [set() for _ in type.fields]

    def __call__(self, value: Any) -> bytes:
        if isinstance(value, (bytes, bytearray)):
            return _Bytes(self._type)(value)
        written = {}
        for index, member in self._given(value).items():
            try:
                written[index] = self._encoders[index](member)
            except MisfitError as error:
                raise error.within(self._names[index]) from None
        return self._joined(written)

    def _given(self, value: Any) -> Mapping[int, Any]:
        names, rows, name = self._names, getattr(value, "_fields", None), self._type.name
        if rows == self._rows or (rows is None and isinstance(value, (tuple, list))):
            if len(value) != len(names):
                raise MisfitError(f"is a {name}, which takes {len(names)} members, not {len(value)}")
            return dict(enumerate(value))
        if isinstance(value, dict):
            for unknown in value.keys() - set(names):
                remedy = nearest(str(unknown), names, "members")
                raise MisfitError(f"is a {name}, which has no member {unknown!r}", remedy)
            given = {index: value[member] for index, member in enumerate(names) if member in value}
        else:
            given = {index: getattr(value, member) for index, member in enumerate(names) if hasattr(value, member)}
        if not given and names:
            raise MisfitError(f"takes {', '.join(names)} (a tuple, a dict, or a row), not {value!r}")
        for index, field in enumerate(self._type.fields):
            if index not in given and field.size and self._shared[index].isdisjoint(given):
                raise MisfitError(f"is a {name}, and its member {field.name} is missing")
        return given

    def _joined(self, written: Mapping[int, bytes]) -> bytes:
        whole = bytearray(self._type.size)
        for index, data in written.items():
            offset = self._type.fields[index].offset
            whole[offset : offset + len(data)] = data
        return bytes(whole)


class _Struct(_Members):
    """A struct each of whose members has bytes of its own: rows and tuples are packed at once."""

    __slots__ = ("_is_plain", "_pack", "_quick")

    def __init__(self, type: Type) -> None:  # noqa: A002
        super().__init__(type)
        # A bool is no number here: `struct` would take any object for one.
        codes = [format_code(field.type) if field.type.kind != "bool" else None for field in type.fields]
        self._is_plain = all(codes)
        parts, end = ["="], 0
        for field, code in zip(type.fields, codes, strict=True):
            # Numbers are packed as they are, other members as their bytes.
            parts.append(f"{field.offset - end}x{code or f'{field.size}s'}")
            end = field.offset + field.size
        self._quick = [None if code else encode for code, encode in zip(codes, self._encoders, strict=True)]
        self._pack = struct.Struct("".join([*parts, f"{type.size - end}x"])).pack

    def __call__(self, value: Any) -> bytes:
        kind = value.__class__
        if (kind is tuple or getattr(kind, "_fields", None) == self._rows) and len(value) == len(self._quick):
            try:
                if self._is_plain:
                    return self._pack(*value)
                # That their lengths are the same is known: to ask for it costs as much again.
                pairs = zip(self._quick, value)  # noqa: B905
                return self._pack(*[encode(item) if encode else item for encode, item in pairs])
            except (struct.error, MisfitError):
                pass  # Which member it is, is found below.
        return super().__call__(value)


class _Overlapping(_Members):
    """A union, or a struct with members that share bytes: bitfields, or those of an anonymous union.

    All is put together in one large number. Members whose bits all count go first; text, bools and floats fill in what
    is left, since they do not tell every bit: of a text, nothing behind the NUL is known.
    """

    __slots__ = ("_decode", "_masks", "_order", "_places")

    def __init__(self, type: Type) -> None:  # noqa: A002
        super().__init__(type)
        self._decode = decoder(type)
        self._places = [_place(field, type.size) for field in type.fields]
        self._masks = [(1 << field.bits[1]) - 1 if field.bits else _mask(field.type) for field in type.fields]
        untold = [width - mask.bit_count() for (_, width), mask in zip(self._places, self._masks, strict=True)]
        self._order = sorted(range(len(untold)), key=untold.__getitem__)
        taken = [(1 << width) - 1 << shift for shift, width in self._places]
        for index, bits in enumerate(taken):
            self._shared[index] = {other for other, more in enumerate(taken) if other != index and bits & more}

    def _joined(self, written: Mapping[int, bytes]) -> bytes:
        whole = known = 0
        for index in self._order:
            if index in written:
                shift, _ = self._places[index]
                whole |= int.from_bytes(written[index], sys.byteorder) << shift & ~known
                known |= self._masks[index] << shift
        data = whole.to_bytes(self._type.size, sys.byteorder)
        row = self._decode(data)
        for index, given in written.items():
            if self._type.fields[index].size and self._encoders[index](row[index]) != given:
                others = ", ".join(self._names[other] for other in sorted(self._shared[index] & written.keys()))
                raise MisfitError(f"shares its bytes with {others}: give one of them").within(self._names[index])
        return data


class _Bits:
    """A bitfield: its number, in as many bytes as that takes."""

    __slots__ = ("_type", "_width")

    def __init__(self, field: Field) -> None:
        assert field.bits is not None
        self._type = field.type
        self._width = field.bits[1]

    def __call__(self, value: Any) -> bytes:
        given = number(self._type, value, self._width) & (1 << self._width) - 1
        return given.to_bytes((self._width + 7) // 8, sys.byteorder)


def _overlaps(type: Type) -> bool:  # noqa: A002
    end = 0
    for field in type.fields:
        if field.bits or field.offset < end:
            return True
        end = field.offset + field.size
    return False


def _place(field: Field, size: int) -> tuple[int, int]:
    """How far a member is shifted in the number that the bytes of its struct are, and how many bits it has."""
    skipped, width = field.bits or (0, field.size * 8)
    if sys.byteorder == "big":
        return (size - field.offset) * 8 - skipped - width, width
    return field.offset * 8 + skipped, width


def _mask(type: Type) -> int:  # noqa: A002
    """Which bits of its number a value of a type tells."""
    if type.kind in {"struct", "union"}:
        found = 0
        for field in type.fields:
            shift, width = _place(field, type.size)
            found |= (_mask(field.type) & (1 << width) - 1) << shift
        return found
    if type.kind == "array" and type.element is not None and type.size:
        size = type.element.size * 8
        return sum(_mask(type.element) << index * size for index in range(type.count))
    return 0 if type.kind in {"bool", "text", "float"} else (1 << type.size * 8) - 1
