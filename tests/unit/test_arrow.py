"""Records as Arrow columns: each kind of field has the type that its meaning says, and the values that rows have."""

from __future__ import annotations

import datetime as dt
import ipaddress

import numpy as np
import pyarrow as pa
import pytest

from skep.base.arrow import texts_to_arrow, to_table
from skep.base.schema import Field, Schema, Type

U8 = Type("int", 1, "u8")
U16 = Type("int", 2, "u16")
U32 = Type("int", 4, "u32")
S32 = Type("int", 4, "int", signed=True)
U64 = Type("int", 8, "u64")
POINT = Type("struct", 4, "struct point", fields=(Field("x", 0, 2, U16), Field("port", 2, 2, U16, "port")))
CLOCKS = {"time_monotonic": 1_000_000_000}


def column(type_: Type, raw: bytes, meaning: str | None = None, bits: tuple[int, int] | None = None) -> pa.Array:
    """The column of one field, of records that are that field alone."""
    schema = Schema("event", type_.size, (Field("field", 0, type_.size, type_, meaning, bits),))
    table = to_table(schema, np.frombuffer(raw, schema.dtype), CLOCKS)
    return table["field"].combine_chunks()


@pytest.mark.parametrize(
    ("type_", "meaning", "arrow", "raw", "values"),
    [
        pytest.param(U16, None, "uint16", b"\1\0\xff\xff", [1, 65535], id="a number"),
        pytest.param(U32, "pid", "int32", b"\1\0\0\0", [1], id="one that has the sign of its meaning"),
        pytest.param(U16, "uid", "uint32", b"\1\0", [1], id="one that the meaning widens"),
        pytest.param(U64, "errno", "uint64", b"\1" + bytes(7), [1], id="one that is not narrowed"),
        pytest.param(S32, "uid", "int32", b"\xff\xff\xff\xff", [-1], id="one that may be negative"),
        pytest.param(Type("bool", 1, "bool"), None, "bool", b"\1\0", [True, False], id="bool"),
        pytest.param(Type("float", 8, "double"), None, "double", np.float64(0.5).tobytes(), [0.5], id="double"),
        pytest.param(Type("int", 16, "u128"), None, "fixed_size_binary[16]", b"\7" * 16, [b"\7" * 16], id="128 bits"),
        pytest.param(Type("array", 4, "u16[2]", element=U16, count=2), None, "fixed_size_list<item: uint16>[2]",
                     b"\1\0\2\0\3\0\4\0", [[1, 2], [3, 4]], id="an array"),
        pytest.param(POINT, None, "struct<x: uint16, port: uint16>", b"\1\0\2\0", [{"x": 1, "port": 2}], id="a struct"),
    ],
)  # fmt: skip
def test_a_field_has_the_type_and_the_values_of_what_it_is(type_, meaning, arrow, raw, values) -> None:
    found = column(type_, raw, meaning)

    assert str(found.type) == arrow
    assert found.to_pylist() == values


def test_moments_and_spans_are_of_time() -> None:
    moments = column(U64, (1500).to_bytes(8, "little") + bytes(8), "time_monotonic")
    spans = column(U32, (90).to_bytes(4, "little"), "duration_ms")

    assert str(moments.type) == "timestamp[ns, tz=UTC]"
    # The second was never set.
    assert [value.value for value in moments] == [1_000_001_500, None]
    assert (str(spans.type), spans.to_pylist()) == ("duration[ms]", [dt.timedelta(milliseconds=90)])


@pytest.mark.parametrize(
    ("type_", "address"),
    [
        pytest.param(U32, "10.0.0.1", id="IPv4 as a number"),
        pytest.param(Type("array", 16, "u8[16]", element=U8, count=16), "fe80::1", id="IPv6 as bytes"),
    ],
)
def test_an_address_is_its_bytes_in_network_order(type_: Type, address: str) -> None:
    packed = ipaddress.ip_address(address).packed

    assert column(type_, packed, f"ipv{ipaddress.ip_address(address).version}").to_pylist() == [packed]


def test_texts_are_dictionaries_up_to_their_first_nul() -> None:
    octets = Type("array", 4, "u8[4]", element=U8, count=4)
    found = column(octets, b"cat\0cat\0c\0t\0c\0x\0\xff\0\0\0", "comm")

    assert pa.types.is_dictionary(found.type)
    assert found.to_pylist() == ["cat", "cat", "c", "c", "\\xff"]
    assert found.dictionary.to_pylist() == ["cat", "c", "\\xff"]
    assert texts_to_arrow([]).to_pylist() == []


@pytest.mark.parametrize(
    ("type_", "bits", "raw", "value"),
    [
        pytest.param(U32, (4, 3), b"\x50\0\0\0", 5, id="unsigned"),
        pytest.param(S32, (4, 3), b"\x50\0\0\0", -3, id="signed"),
        pytest.param(Type("bool", 1, "bool"), (7, 1), b"\x80", True, id="bool"),
    ],
)
def test_a_bit_field_is_its_bits(type_: Type, bits: tuple[int, int], raw: bytes, value: object) -> None:
    assert column(type_, raw, None, bits).to_pylist() == [value]


def test_what_has_no_bytes_is_empty() -> None:
    nothing = (
        Field("number", 0, 2, U16),
        Field("text", 2, 0, Type("text", 0, "char[]"), "text"),
        Field("list", 2, 0, Type("array", 0, "u16[]", element=U16)),
        Field("", 2, 0, Type("struct", 0, "struct {}")),
    )
    schema = Schema("event", 2, nothing)

    table = to_table(schema, np.frombuffer(b"\1\0\2\0", schema.dtype), CLOCKS)

    assert table.to_pylist() == [
        {"number": 1, "text": "", "list": [], "_3": b""},
        {"number": 2, "text": "", "list": [], "_3": b""},
    ]
