"""Types as ctypes: scripts know keys, values and records by the attributes that C gives them, and by `.value`."""

from __future__ import annotations

import ctypes
from functools import cache

from skep.base.errors import UsageError
from skep.base.schema import Field, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

__all__ = ["as_ctype", "from_address", "structure", "text_of_type"]

_INTEGERS: dict[tuple[int, bool], Any] = {
    (1, False): ctypes.c_ubyte,
    (1, True): ctypes.c_byte,
    (2, False): ctypes.c_ushort,
    (2, True): ctypes.c_short,
    (4, False): ctypes.c_uint,
    (4, True): ctypes.c_int,
    (8, False): ctypes.c_ulonglong,
    (8, True): ctypes.c_longlong,
    # ctypes has no number of 128 bits: its low half comes first, where the machine's does.
    (16, False): ctypes.c_ulonglong * 2,
    (16, True): ctypes.c_longlong * 2,
}
_FLOATS: dict[int, Any] = {4: ctypes.c_float, 8: ctypes.c_double}
# What a script may call a type in words: get_table("x", "u64", ...) and the like.
_WORDS: dict[str, Any] = {
    "_Bool": ctypes.c_bool,
    "char": ctypes.c_char,
    "wchar_t": ctypes.c_wchar,
    "unsigned char": ctypes.c_ubyte,
    "short": ctypes.c_short,
    "unsigned short": ctypes.c_ushort,
    "int": ctypes.c_int,
    "unsigned int": ctypes.c_uint,
    "long": ctypes.c_long,
    "unsigned long": ctypes.c_ulong,
    "long long": ctypes.c_longlong,
    "unsigned long long": ctypes.c_ulonglong,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "__int128": ctypes.c_longlong * 2,
    "unsigned __int128": ctypes.c_ulonglong * 2,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
}


def text_of_type(name: str) -> Any:
    """The ctypes type that C calls by a name, such as ``unsigned int``.

    Args:
        name: of a type of C.

    Raises:
        UsageError: it is none that stands for itself.
    """
    found = _WORDS.get(name)
    if found is None:
        raise UsageError(f"there is no type {name!r} in ctypes", remedy=f"The types are: {', '.join(_WORDS)}.")
    return found


@cache
def as_ctype(type: Type) -> Any:  # noqa: A002 - the contract's word
    """The ctypes type of a type.

    Args:
        type: of a key, a value, or a member.
    """
    match type.kind:
        case "int" if type.name == "char":
            return ctypes.c_char
        case "int" | "enum":
            return _INTEGERS[type.size, type.signed]
        case "bool":
            return ctypes.c_bool if type.size == 1 else _INTEGERS[type.size, False]
        case "float" if type.size in _FLOATS:
            return _FLOATS[type.size]
        case "pointer":
            return _INTEGERS[type.size, False]
        case "text":
            return ctypes.c_char * type.count
        case "array" if type.element is not None:
            return as_ctype(type.element) * type.count
        case "struct" | "union":
            return structure(type.name.partition(" ")[2] or type.name, type.fields, type.size)
    return ctypes.c_ubyte * type.size


def structure(name: str, fields: Sequence[Field], size: int) -> Any:
    """A ctypes structure in which each member lies where C has it.

    Members that share bytes (a union's, and bitfields, which ctypes lays out in its own way) are attributes like the
    others.

    Args:
        name: of the class.
        fields: its members; those of anonymous structs and unions stand among them.
        size: in bytes.
    """
    members: list[tuple[str, Any]] = []
    anonymous: list[str] = []
    attributes: dict[str, Any] = {"_pack_": 1, "_fields_": members, "_anonymous_": anonymous}
    end = 0
    for start, stop, group in _runs(fields):
        if start > end:
            members.append((f"__pad_{len(members)}", ctypes.c_char * (start - end)))
        end = stop
        if len(group) == 1 and group[0].bits is None:
            members.append((group[0].name, as_ctype(group[0].type)))
            continue
        if any(field.bits is None for field in group):
            plain = [field for field in group if field.bits is None]
            anonymous.append(f"__union_{start}")
            members.append((anonymous[-1], _overlapping(plain, start, stop)))
        else:
            members.append((f"__bits_{start}", ctypes.c_ubyte * (stop - start)))
        attributes |= {field.name: _bits(field) for field in group if field.bits is not None}
    if size > end:
        members.append((f"__pad_{len(members)}", ctypes.c_char * (size - end)))
    return type(name if name.isidentifier() else "struct", (ctypes.Structure,), attributes)


def _runs(fields: Sequence[Field]) -> Iterator[tuple[int, int, list[Field]]]:
    """Members that share bytes, together: where they begin and end. Those without a size share none."""
    group: list[Field] = []
    start = end = 0
    for field in sorted(fields, key=lambda field: field.offset):
        if group and field.offset >= end:
            yield start, end, group
            group = []
        if not group:
            start = end = field.offset
        group.append(field)
        end = max(end, field.offset + field.size)
    if group:
        yield start, end, group


def _overlapping(fields: Sequence[Field], start: int, stop: int) -> Any:
    """A union of members, each behind as many bytes as it begins later than the first."""
    members: list[tuple[str, Any]] = [("__all", ctypes.c_ubyte * (stop - start))]
    anonymous = []
    for number, field in enumerate(fields):
        if field.offset == start:
            members.append((field.name, as_ctype(field.type)))
            continue
        padding = ("__pad_0", ctypes.c_char * (field.offset - start))
        told = {"_pack_": 1, "_fields_": [padding, (field.name, as_ctype(field.type))]}
        anonymous.append(f"__member_{number}")
        members.append((anonymous[-1], type("member", (ctypes.Structure,), told)))
    return type("union", (ctypes.Union,), {"_anonymous_": anonymous, "_fields_": members})


def _bits(field: Field) -> property:
    """A bitfield, read from and written to the bytes that hold it."""
    shift, width = field.bits or (0, 0)
    mask, sign = (1 << width) - 1, 1 << width - 1

    def read(self: Any) -> int:
        raw = bytes((ctypes.c_char * field.size).from_buffer(self, field.offset))
        value = int.from_bytes(raw, "little") >> shift & mask
        return value - (1 << width) if field.type.signed and value & sign else value

    def write(self: Any, value: int) -> None:
        held = (ctypes.c_char * field.size).from_buffer(self, field.offset)
        others = int.from_bytes(bytes(held), "little") & ~(mask << shift)
        held.raw = (others | (value & mask) << shift).to_bytes(field.size, "little")

    return property(read, write)


def from_address(kind: Any, data: int, size: int | None = None) -> Any:
    """A copy of what lies at an address; what is not there reads as zeros.

    Args:
        kind: a ctypes type.
        data: the address.
        size: how many bytes are there; None: as many as the type has.
    """
    found = kind()
    ctypes.memmove(ctypes.addressof(found), data, min(ctypes.sizeof(kind), size or ctypes.sizeof(kind)))
    return found
