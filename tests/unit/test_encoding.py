"""Values to bytes: what a type takes, and how what it does not take is told. Round trips stand in test_roundtrip."""

from __future__ import annotations

import struct
from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from skep.base.encoding import MisfitError, encoder
from skep.base.schema import Field, Type, decoder

U8 = Type("int", 1, "u8")
U16 = Type("int", 2, "u16")
U32 = Type("int", 4, "u32")
S32 = Type("int", 4, "s32", signed=True)
U128 = Type("int", 16, "u128")
BOOL = Type("bool", 1, "bool")
FLOAT = Type("float", 4, "float")
POINTER = Type("pointer", 8, "void *")
COMM = Type("text", 4, "char[4]", count=4)
STATE = Type("enum", 4, "enum state", enum={0: "IDLE", 1: "BUSY"})
PORTS = Type("array", 4, "u16[2]", element=U16, count=2)
OCTETS = Type("array", 4, "u8[4]", element=U8, count=4)
FLOW = Type("struct", 8, "struct flow", fields=(Field("source", 0, 4, U32), Field("port", 4, 2, U16)))
NAMED = Type("struct", 12, "struct named", fields=(Field("comm", 0, 4, COMM), Field("flow", 4, 8, FLOW)))
FLOWS = Type("array", 16, "struct flow[2]", element=FLOW, count=2)
ADDRESS = Type("union", 4, "union address", fields=(Field("v4", 0, 4, U32), Field("octets", 0, 4, OCTETS)))
# struct { u32 kind; union { u32 v4; u8 octets[4]; char name[4]; }; u32 low:3, high:5; }
ANONYMOUS = Type(
    "struct",
    12,
    "struct anonymous",
    fields=(
        Field("kind", 0, 4, U32),
        Field("v4", 4, 4, U32),
        Field("octets", 4, 4, OCTETS),
        Field("name", 4, 4, COMM),
        Field("low", 8, 1, U32, bits=(0, 3)),
        Field("high", 8, 1, U32, bits=(3, 5)),
    ),
)
Other = namedtuple("Other", ["port", "more", "source"])  # noqa: PYI024


@pytest.mark.parametrize(
    ("held", "value", "data"),
    [
        pytest.param(U32, 7, b"\7\0\0\0", id="a number"),
        pytest.param(U32, np.uint16(7), b"\7\0\0\0", id="a number of NumPy"),
        pytest.param(U32, b"abcd", b"abcd", id="bytes are what they are"),
        pytest.param(U128, 1 << 127, bytes(15) + b"\x80", id="128 bits"),
        pytest.param(BOOL, True, b"\1", id="a bool"),
        pytest.param(FLOAT, 1, struct.pack("=f", 1), id="a float from a whole number"),
        pytest.param(FLOAT, float("inf"), struct.pack("=f", float("inf")), id="infinity"),
        pytest.param(POINTER, 1 << 63, bytes(7) + b"\x80", id="a pointer"),
        pytest.param(STATE, "BUSY", b"\1\0\0\0", id="an enum by name"),
        pytest.param(STATE, 7, b"\7\0\0\0", id="an enum by a number without a name"),
        pytest.param(COMM, "né", b"n\xc3\xa9\0", id="text"),
        pytest.param(COMM, "bash", b"bash", id="text that fills its array"),
        pytest.param(COMM, b"a\0b", b"a\0b\0", id="text as bytes"),
        pytest.param(COMM, "a\udcffb", b"a\xffb\0", id="text that is not UTF-8"),
        pytest.param(PORTS, [80, 443], b"\x50\0\xbb\1", id="an array from a list"),
        pytest.param(PORTS, np.array([80, 443]), b"\x50\0\xbb\1", id="an array of NumPy"),
        pytest.param(OCTETS, b"abcd", b"abcd", id="an array from bytes"),
        pytest.param(FLOW, (1, 2), b"\1\0\0\0\2\0\0\0", id="a tuple, with zeros for padding"),
        pytest.param(FLOW, {"port": 2, "source": 1}, b"\1\0\0\0\2\0\0\0", id="a dict, in any order"),
        pytest.param(FLOW, SimpleNamespace(source=1, port=2, x=3), b"\1\0\0\0\2\0\0\0", id="an object's attributes"),
        pytest.param(FLOW, Other(2, 9, 1), b"\1\0\0\0\2\0\0\0", id="a row of another struct, by name"),
        pytest.param(FLOW, bytes(range(8)), bytes(range(8)), id="a struct from bytes"),
        pytest.param(NAMED, ("sh", {"source": 1, "port": 2}), b"sh\0\0\1\0\0\0\2\0\0\0", id="a dict in a tuple"),
        pytest.param(
            FLOWS, [(1, 2), {"source": 3, "port": 4}], struct.pack("=IIII", 1, 2, 3, 4), id="structs in a list"
        ),
        pytest.param(ADDRESS, {"octets": b"\1\2\3\4"}, b"\1\2\3\4", id="a union by one of its members"),
        pytest.param(
            ANONYMOUS,
            {"kind": 1, "name": "sh", "low": 5, "high": 17},
            b"\1\0\0\0sh\0\0\x8d\0\0\0",
            id="one member of many",
        ),
        pytest.param(
            ANONYMOUS,
            {"kind": 1, "v4": 0x61006873, "name": "sh", "low": 5, "high": 17},
            b"\1\0\0\0sh\0a\x8d\0\0\0",
            id="members that agree",
        ),
    ],
)
def test_what_a_type_takes(held: Type, value: Any, data: bytes) -> None:
    assert encoder(held)(value) == data


@pytest.mark.parametrize(
    ("held", "value", "told"),
    [
        pytest.param(U8, 256, "KEY takes a u8, 0 to 255", id="too large"),
        pytest.param(U8, -1, "KEY takes a u8, 0 to 255", id="negative"),
        pytest.param(U8, 1.0, "KEY takes a u8, 0 to 255", id="a fraction"),
        pytest.param(U8, "1", "KEY takes a u8, 0 to 255", id="text for a number"),
        pytest.param(U8, None, "KEY takes a u8, 0 to 255", id="nothing"),
        pytest.param(S32, 1 << 31, "KEY takes a s32, -2147483648 to 2147483647", id="signed"),
        pytest.param(U128, 1 << 128, f"KEY takes a u128, 0 to {(1 << 128) - 1}", id="129 bits"),
        pytest.param(BOOL, 2, "KEY takes a bool, 0 to 1", id="no bool"),
        pytest.param(FLOAT, "1", "KEY takes a float, not '1'", id="text for a float"),
        pytest.param(FLOAT, 1e39, "KEY takes a float, not 1e+39", id="too large for a float"),
        pytest.param(STATE, "busy", "KEY takes one of IDLE, BUSY, or a number, not 'busy'", id="an enum's other case"),
        pytest.param(COMM, "bashful", "KEY takes at most 4 bytes of text, not 7", id="text too long"),
        pytest.param(COMM, "a\0b", "KEY takes text without NUL, not 'a\\x00b'", id="a NUL"),
        pytest.param(COMM, "\ud800", "KEY takes text, and half a character is none: '\\ud800'", id="half a character"),
        pytest.param(COMM, 7, "KEY takes text, not 7", id="a number for text"),
        pytest.param(PORTS, [1], "KEY is a u16[2], which takes 2 values, not 1 of them", id="too few"),
        pytest.param(PORTS, "ab", "KEY is a u16[2], which takes 2 values, not 'ab'", id="text for an array"),
        pytest.param(PORTS, 7, "KEY is a u16[2], which takes 2 values, not 7", id="a number for an array"),
        pytest.param(PORTS, [1, 65536], "[1] of KEY takes a u16, 0 to 65535", id="which element"),
        pytest.param(FLOW, (1,), "KEY is a struct flow, which takes 2 members, not 1", id="a tuple too short"),
        pytest.param(FLOW, (1, 2, 3), "KEY is a struct flow, which takes 2 members, not 3", id="a tuple too long"),
        pytest.param(FLOW, (1, 65536), "port of KEY takes a u16, 0 to 65535", id="which member"),
        pytest.param(
            FLOW, {"source": 1}, "KEY is a struct flow, and its member port is missing", id="a member is missing"
        ),
        pytest.param(
            FLOW, {"source": 1, "prt": 2}, "KEY is a struct flow, which has no member 'prt'", id="a member too many"
        ),
        pytest.param(FLOW, 7, "KEY takes source, port (a tuple, a dict, or a row), not 7", id="a number for a struct"),
        pytest.param(FLOW, b"abc", "KEY is a struct flow, which takes 8 bytes, not 3", id="too few bytes"),
        pytest.param(NAMED, ("sh", (1, -1)), "flow.port of KEY takes a u16, 0 to 65535", id="a member of a member"),
        pytest.param(FLOWS, [(1, 2), (1, -1)], "[1].port of KEY takes a u16, 0 to 65535", id="a member of an element"),
        pytest.param(
            ADDRESS,
            {"v4": 1, "octets": (1, 0, 0, 1)},
            "octets of KEY shares its bytes with v4: give one of them",
            id="at odds",
        ),
        pytest.param(
            ANONYMOUS,
            {"kind": 1, "v4": 1, "low": 8, "high": 0},
            "low of KEY takes a u32, 0 to 7",
            id="more than a bitfield holds",
        ),
        pytest.param(
            ANONYMOUS,
            {"kind": 1, "v4": 1, "low": 7},
            "KEY is a struct anonymous, and its member high is missing",
            id="bitfields share no bits",
        ),
        pytest.param(Type("bytes", 3, "3 bytes"), b"ab", "KEY is a 3 bytes, which takes 3 bytes, not 2", id="bytes"),
        pytest.param(Type("bytes", 3, "3 bytes"), 7, "KEY is a 3 bytes, which takes 3 bytes", id="no bytes"),
    ],
)
def test_what_it_does_not_take(held: Type, value: Any, told: str) -> None:
    with pytest.raises(MisfitError) as raised:
        encoder(held)(value)

    assert raised.value.told("KEY") == told


def test_the_name_that_was_meant() -> None:
    with pytest.raises(MisfitError) as raised:
        encoder(FLOW)({"source": 1, "prt": 2})

    assert raised.value.remedy == "Did you mean port?"


def test_a_row_is_written_as_it_was_read_and_may_be_changed() -> None:
    held = Type("struct", 8, "struct from", fields=(Field("from", 0, 4, U32), Field("class", 4, 4, U32)))
    row = decoder(held)(struct.pack("=II", 1, 2))

    assert encoder(held)(row) == struct.pack("=II", 1, 2)
    assert encoder(held)(row._replace(_1=7)) == struct.pack("=II", 1, 7)
