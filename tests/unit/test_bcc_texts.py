"""Keys and values of BCC's tables as text, and back."""

from __future__ import annotations

import ctypes

import pytest

from skep.base.errors import UsageError
from skep.base.schema import Field, Type
from skep.bcc.layout import structure
from skep.bcc.texts import from_text, to_text

PAIR = ctypes.c_ushort * 2
U32 = Type("int", 4, "u32")
NAME = Type("text", 8, "char[8]", element=Type("int", 1, "char"), count=8)
# Behind the name are four bytes that no member has.
LEAF = structure("leaf", (Field("a", 0, 4, U32), Field("name", 4, 8, NAME), Field("b", 16, 4, U32)), 24)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ctypes.c_uint(2), "0x2"),
        (ctypes.c_int(-1), "0xffffffff"),
        (ctypes.c_ulonglong(1 << 63), "0x8000000000000000"),
        ((ctypes.c_ushort * 3)(1, 2, 255), "[ 0x1 0x2 0xff ]"),
        ((ctypes.c_ushort * 2 * 2)(PAIR(1, 2), PAIR(3, 4)), "[ [ 0x1 0x2 ] [ 0x3 0x4 ] ]"),
        ((ctypes.c_char * 8).from_buffer_copy(b"skep\0\0\0\0"), '"skep"'),
        (LEAF(a=7, name=b"a b", b=1), '{ 0x7 "a b" 0x1 }'),
    ],
)
def test_values_are_text_and_text_is_values(value, text):
    assert to_text(value) == text
    assert bytes(from_text(type(value), text)) == bytes(value)


@pytest.mark.parametrize("text", ["", "x", "{ 0x1 }", '{ 0x1 "a" 0x2', "0x1", '[ 0x1 "a" 0x2 ]', '{ 0x1 "a 0x2 }'])
def test_other_text_is_refused(text):
    with pytest.raises(UsageError, match="is no leaf") as caught:
        from_text(LEAF, text)

    assert caught.value.remedy == 'One that is: { 0x0 "" 0x0 }'


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(UsageError):
        from_text(ctypes.c_ubyte, "0x100")
