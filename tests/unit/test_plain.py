"""Schemas as plain data."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.plain import schema_from_plain, schema_to_plain
from skep.base.schema import Field, Schema, Type

U8, U32, S64 = Type("int", 1, "u8"), Type("int", 4, "u32"), Type("int", 8, "s64", signed=True)
TEXT = Type("text", 16, "char[16]", count=16)
STATE = Type("enum", 4, "enum state", enum={-1: "NONE", 3: "BUSY"}, signed=True)
INNER = Type("struct", 8, "struct inner", fields=(Field("a", 0, 4, U32), Field("state", 4, 4, STATE)))
ADDRESS = Type(
    "union",
    16,
    "union address",
    fields=(Field("v4", 0, 4, U32), Field("v6", 0, 16, Type("array", 16, "u8[16]", element=U8, count=16))),
)
SCHEMA = Schema(
    "event",
    64,
    (
        Field("pid", 0, 4, U32, "pid"),
        Field("low", 4, 4, U32, None, (0, 3)),
        Field("high", 4, 4, U32, None, (3, 29)),
        Field("ret", 8, 8, S64, "result"),
        Field("comm", 16, 16, TEXT, "comm"),
        Field("inner", 32, 8, INNER),
        Field("address", 48, 16, ADDRESS, "ip"),
    ),
)


def test_a_schema_comes_back_as_it_was():
    again = schema_from_plain(json.loads(json.dumps(schema_to_plain(SCHEMA))))

    record = bytes(range(64))
    assert schema_to_plain(again) == schema_to_plain(SCHEMA)
    assert again.decode(record) == SCHEMA.decode(record)
    assert again.fields[5].type.fields[1].enum == {-1: "NONE", 3: "BUSY"}


@pytest.mark.parametrize("kind", ["text", "bytes"])
def test_a_schema_of_which_nothing_is_known_comes_back(kind):
    schema = Schema("raw", 0, (Field("data", 0, 0, Type(kind, 0, "")),))

    assert schema_from_plain(schema_to_plain(schema)).is_raw


@pytest.mark.parametrize(
    "change",
    [
        {"size": -1},
        {"size": 1 << 40},
        {"size": 8},
        {"size": True},
        {"name": 7},
        {"fields": None},
        {"fields": [None]},
        {"fields": [{"name": "a", "offset": 61, "size": 4, "type": {"kind": "int", "size": 4, "name": "u32"}}]},
        {"fields": [{"name": "a", "offset": 0, "size": 8, "type": {"kind": "int", "size": 4, "name": "u32"}}]},
        {"fields": [{"name": "a", "offset": 0, "size": 4, "type": {"kind": "code", "size": 4, "name": "u32"}}]},
        {"fields": [{"name": "a", "offset": 0, "size": 0, "type": {"kind": "int", "size": 0, "name": "u0"}}]},
        {
            "fields": [
                {"name": "a", "offset": 0, "size": 4, "bits": [30, 3], "type": {"kind": "int", "size": 4, "name": ""}}
            ]
        },
        {"size": 0},
    ],
)
def test_what_no_struct_could_be_is_refused(change):
    with pytest.raises(ValueError, match=r"."):
        schema_from_plain({**schema_to_plain(SCHEMA), **change})


def test_what_nests_without_end_is_refused():
    held: dict[str, object] = {"kind": "int", "size": 1, "name": "u8"}
    for _ in range(50):
        held = {"kind": "array", "size": 1, "name": "", "count": 1, "element": held}

    with pytest.raises(ValueError, match="too deeply"):
        schema_from_plain({"name": "a", "size": 1, "fields": [{"name": "a", "offset": 0, "size": 1, "type": held}]})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "size", "fields"]), inner),
)


@given(JSON)
def test_any_json_is_a_schema_or_refused(data):
    with suppress(ValueError):
        schema_from_plain(data)
