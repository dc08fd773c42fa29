"""Types as ctypes: each member lies where C has it."""

from __future__ import annotations

import ctypes

import pytest

from skep.base.schema import Field, Type
from skep.bcc.layout import as_ctype, from_address, structure

U8, U16, U32, U64 = (Type("int", size, f"u{size * 8}") for size in (1, 2, 4, 8))
S32 = Type("int", 4, "int", signed=True)
TEXT = Type("text", 16, "char[16]", count=16)


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (U32, ctypes.c_uint),
        (S32, ctypes.c_int),
        (U64, ctypes.c_ulonglong),
        (Type("int", 1, "char", signed=True), ctypes.c_char),
        (Type("int", 1, "s8", signed=True), ctypes.c_byte),
        (Type("bool", 1, "_Bool"), ctypes.c_bool),
        (Type("float", 8, "double"), ctypes.c_double),
        (Type("pointer", 8, "struct request *"), ctypes.c_ulonglong),
        (Type("enum", 4, "enum state"), ctypes.c_uint),
        (Type("int", 16, "__int128", signed=True), ctypes.c_longlong * 2),
        (TEXT, ctypes.c_char * 16),
        (Type("array", 12, "u32[3]", element=U32, count=3), ctypes.c_uint * 3),
        (Type("bytes", 5, "5 bytes"), ctypes.c_ubyte * 5),
    ],
    ids=lambda each: getattr(each, "name", None) or each.__name__,
)
def test_types(type_, expected):
    found = as_ctype(type_)

    assert found is expected or (found._length_, found._type_) == (expected._length_, expected._type_)


def test_members_lie_where_c_has_them():
    event = structure("event", (Field("pid", 0, 4, U32), Field("ts", 8, 8, U64), Field("comm", 16, 16, TEXT)), 40)

    assert [getattr(event, name).offset for name in ("pid", "ts", "comm")] == [0, 8, 16]
    assert ctypes.sizeof(event) == 40
    assert [name for name, _ in event._fields_] == ["pid", "__pad_1", "ts", "comm", "__pad_4"]


def test_members_of_a_union_share_their_bytes():
    event = structure("event", (Field("all", 4, 4, U32), Field("high", 6, 2, U16), Field("last", 8, 4, U32)), 12)()

    event.all = 0x12345678

    assert (event.high, event.last) == (0x1234, 0)


@pytest.mark.parametrize(("signed", "expected"), [(False, 9), (True, -7)])
def test_bitfields_are_read_and_written(signed, expected):
    number = Type("int", 1, "int", signed=signed)
    fields = (Field("low", 0, 1, number, None, (0, 3)), Field("high", 0, 1, number, None, (3, 4)), Field("x", 1, 1, U8))
    event = structure("event", fields, 2)()

    event.low, event.high, event.x = 2, 9, 255

    assert bytes(event) == bytes([2 | 9 << 3, 255])
    assert (event.low, event.high) == (2, expected)


def test_structs_hold_structs():
    inner = Type("struct", 8, "struct inner", fields=(Field("a", 0, 4, U32), Field("b", 4, 4, S32)))
    outer = structure("outer", (Field("inner", 0, 8, inner), Field("name", 8, 16, TEXT)), 24)

    found = outer.from_buffer_copy(b"\1\0\0\0\xff\xff\xff\xff" + b"name".ljust(16, b"\0"))

    assert (found.inner.a, found.inner.b, found.name) == (1, -1, b"name")


def test_what_was_cut_short_reads_as_zeros():
    event = structure("event", (Field("pid", 0, 4, U32), Field("ts", 8, 8, U64)), 16)
    record = ctypes.create_string_buffer(b"\1\0\0\0\xff\xff\xff\xff\xff\xff")

    found = from_address(event, ctypes.addressof(record), 4)

    assert (found.pid, found.ts) == (1, 0)
