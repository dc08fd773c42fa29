import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.schema import Field, Schema, Type

U8 = Type("int", 1, "u8")
U16 = Type("int", 2, "u16")
U32 = Type("int", 4, "u32")
U64 = Type("int", 8, "u64")
S8 = Type("int", 1, "s8", signed=True)
S16 = Type("int", 2, "s16", signed=True)
S32 = Type("int", 4, "s32", signed=True)
S64 = Type("int", 8, "s64", signed=True)
BOOL = Type("bool", 1, "bool")
FLOAT = Type("float", 4, "float")
DOUBLE = Type("float", 8, "double")
POINTER = Type("pointer", 8, "void *")
STATE = Type("enum", 4, "enum state", enum={0: "IDLE", 1: "BUSY"})


def text(size: int) -> Type:
    return Type("text", size, f"char[{size}]")


def array(element: Type, count: int) -> Type:
    return Type("array", element.size * count, f"{element.name}[{count}]", element=element, count=count)


def packed(name: str, *members: tuple[str, Type]) -> Schema:
    """A schema whose members follow each other without gaps."""
    offset = 0
    fields = []
    for member, held in members:
        fields.append(Field(member, offset, held.size, held))
        offset += held.size
    return Schema(name, offset, tuple(fields))


def struct_type(schema: Schema) -> Type:
    return Type("struct", schema.size, f"struct {schema.name}", fields=schema.fields)


POINT = struct_type(packed("point", ("x", S16), ("y", S16)))


@pytest.mark.parametrize(
    ("held", "raw", "value"),
    [
        pytest.param(U8, b"\xff", 255, id="u8"),
        pytest.param(S8, b"\xff", -1, id="s8"),
        pytest.param(U16, b"\x34\x12", 0x1234, id="u16"),
        pytest.param(S16, b"\xfe\xff", -2, id="s16"),
        pytest.param(U32, b"\xff\xff\xff\xff", 2**32 - 1, id="u32"),
        pytest.param(S32, b"\xfe\xff\xff\xff", -2, id="s32"),
        pytest.param(U64, b"\xff" * 8, 2**64 - 1, id="u64"),
        pytest.param(S64, b"\x00" * 7 + b"\x80", -(2**63), id="s64"),
        pytest.param(Type("int", 16, "u128"), b"\x01" + b"\0" * 14 + b"\x80", 2**127 + 1, id="128 bits, unsigned"),
        pytest.param(Type("int", 16, "s128", signed=True), b"\xff" * 16, -1, id="128 bits, signed"),
        pytest.param(BOOL, b"\x00", False, id="bool that is false"),
        pytest.param(BOOL, b"\x02", True, id="bool that is any other byte"),
        pytest.param(Type("float", 2, "_Float16"), struct.pack("<e", 1.5), 1.5, id="half float"),
        pytest.param(FLOAT, struct.pack("<f", 0.25), 0.25, id="float"),
        pytest.param(DOUBLE, struct.pack("<d", -0.1), -0.1, id="double"),
        pytest.param(Type("float", 16, "long double"), bytes(range(16)), bytes(range(16)), id="long double is bytes"),
        pytest.param(STATE, b"\x01\0\0\0", 1, id="enum is its number"),
        pytest.param(Type("enum", 8, "enum e", signed=True), b"\xff" * 8, -1, id="signed enum of 64 bits"),
        pytest.param(POINTER, b"\xff" * 8, 2**64 - 1, id="pointer is unsigned"),
        pytest.param(text(8), b"bash\0xyz", "bash", id="text ends at the first NUL"),
        pytest.param(text(4), b"bash", "bash", id="text without a NUL"),
        pytest.param(text(4), b"a\xffb\0", "a\udcffb", id="text that is not UTF-8 keeps its bytes as surrogates"),
        pytest.param(text(4), "né".encode() + b"\0", "né", id="text in UTF-8"),
        pytest.param(array(U16, 3), b"\1\0\2\0\3\0", (1, 2, 3), id="array of integers"),
        pytest.param(array(S8, 2), b"\xff\x01", (-1, 1), id="array of signed integers"),
        pytest.param(array(BOOL, 2), b"\0\1", (False, True), id="array of bools"),
        pytest.param(array(text(2), 2), b"a\0bc", ("a", "bc"), id="array of texts"),
        pytest.param(array(array(U8, 2), 2), b"\1\2\3\4", ((1, 2), (3, 4)), id="array of arrays"),
        pytest.param(array(POINT, 2), b"\1\0\2\0\3\0\xff\xff", ((1, 2), (3, -1)), id="array of structs"),
        pytest.param(POINT, b"\1\0\2\0", (1, 2), id="struct"),
        pytest.param(Type("bytes", 3, ""), b"\1\2\3", b"\1\2\3", id="bytes of no known type"),
    ],
)
def test_decode_reads_one_field_of_each_kind(held: Type, raw: bytes, value: object) -> None:
    schema = packed("event", ("first", U8), ("value", held), ("last", U8))

    row = schema.decode(b"\x11" + raw + b"\x22")

    assert row.value == value
    assert type(row.value) is type(value) or isinstance(row.value, tuple)
    assert (row.first, row.last) == (0x11, 0x22)


def test_decode_skips_the_gaps_between_members() -> None:
    schema = Schema("event", 24, (Field("a", 0, 1, U8), Field("b", 8, 8, U64), Field("c", 18, 2, U16)))

    assert schema.decode(struct.pack("<B7xQ2xH4x", 1, 2, 3)) == (1, 2, 3)


def test_decode_gives_rows_in_the_order_of_the_fields_even_where_offsets_are_not() -> None:
    schema = Schema("event", 8, (Field("high", 4, 4, U32), Field("low", 0, 4, U32)))

    row = schema.decode(struct.pack("<II", 1, 2))

    assert (row.high, row.low) == (2, 1)
    assert tuple(row) == (2, 1)


@pytest.mark.parametrize("length", [0, 3, 4, 5, 9])
def test_a_record_that_was_cut_short_reads_as_zeros_from_there(length: int) -> None:
    schema = packed("event", ("pid", U32), ("path", text(6)))
    whole = struct.pack("<I6s", 7, b"/a/b/c")

    row = schema.decode(memoryview(whole)[:length])

    assert row == schema.decode(whole[:length].ljust(10, b"\0"))
    assert row.path == whole[4:length].decode()


def test_a_record_that_was_padded_reads_as_if_it_were_not() -> None:
    schema = packed("event", ("pid", U32))

    assert schema.decode(b"\7\0\0\0\xff\xff\xff\xff").pid == 7


def test_decode_all_reads_records_that_lie_one_after_the_other() -> None:
    schema = packed("event", ("pid", U32), ("comm", text(4)))
    records = memoryview(struct.pack("<I4sI4s", 1, b"a", 2, b"b"))

    assert [tuple(row) for row in schema.decode_all(records)] == [(1, "a"), (2, "b")]


@pytest.mark.parametrize(
    ("bits", "signed", "value"),
    [
        pytest.param((0, 3), False, 0b101, id="from the lowest bit"),
        pytest.param((3, 4), False, 0b0110, id="in the middle"),
        pytest.param((7, 6), False, 0b101001, id="across a byte"),
        pytest.param((0, 3), True, -3, id="signed and negative"),
        pytest.param((3, 4), True, 6, id="signed and positive"),
        pytest.param((0, 16), False, 0b1101_0100_1011_0101, id="all of them"),
    ],
)
def test_decode_reads_bitfields(bits: tuple[int, int], signed: bool, value: int) -> None:  # noqa: FBT001
    held = Type("int", 4, "int", signed=signed)
    schema = Schema("event", 4, (Field("first", 0, 1, U8), Field("flags", 2, 2, held, bits=bits)))

    assert schema.decode(b"\x09\xff\xb5\xd4") == (9, value)


def test_bitfields_that_share_bytes_are_read_each() -> None:
    schema = Schema(
        "event",
        8,
        (
            Field("a", 0, 1, U32, bits=(0, 1)),
            Field("b", 0, 2, U32, bits=(1, 9)),
            Field("c", 1, 1, U32, bits=(2, 6)),
            Field("d", 4, 4, U32),
        ),
    )
    number = 1 | 300 << 1 | 33 << 10

    assert schema.decode(struct.pack("<HxxI", number, 5)) == (1, 300, 33, 5)


def test_a_bitfield_of_type_bool_is_a_bool() -> None:
    schema = Schema("event", 1, (Field("a", 0, 1, BOOL, bits=(0, 1)), Field("b", 0, 1, BOOL, bits=(1, 1))))

    row = schema.decode(b"\x02")

    assert row.a is False
    assert row.b is True


def test_every_member_of_a_union_reads_the_same_bytes() -> None:
    fields = (Field("v4", 0, 4, U32), Field("v6", 0, 16, array(U8, 16)), Field("name", 0, 4, text(4)))
    union = Type("union", 16, "union address", fields=fields)
    schema = packed("event", ("kind", U8), ("address", union), ("port", U16))

    row = schema.decode(b"\x01" + b"abcd" + bytes(12) + b"\x50\x00")

    assert row.address.v4 == int.from_bytes(b"abcd", "little")
    assert row.address.v6 == (*b"abcd", *bytes(12))
    assert row.address.name == "abcd"
    assert (row.kind, row.port) == (1, 80)


def test_members_of_an_anonymous_union_stand_among_the_others_and_overlap() -> None:
    point = struct_type(packed("point", ("x", U16), ("y", U16)))
    fields = (Field("pid", 0, 4, U32), Field("word", 4, 4, U32), Field("point", 4, 4, point), Field("end", 8, 1, U8))

    row = Schema("event", 9, fields).decode(struct.pack("<IHHB", 1, 2, 3, 4))

    assert (row.pid, row.word, tuple(row.point), row.end) == (1, 3 << 16 | 2, (2, 3), 4)


def test_members_that_overlap_only_in_part_are_read_each() -> None:
    schema = Schema("event", 6, (Field("a", 0, 4, U32), Field("b", 2, 4, U32)))

    assert schema.decode(bytes([1, 2, 3, 4, 5, 6])) == (0x04030201, 0x06050403)


@pytest.mark.parametrize(
    ("held", "value"),
    [
        pytest.param(array(U32, 0), (), id="flexible array of integers"),
        pytest.param(array(POINT, 0), (), id="flexible array of structs"),
        pytest.param(text(0), "", id="flexible text"),
        pytest.param(Type("struct", 0, "struct empty"), (), id="empty struct"),
        pytest.param(array(Type("struct", 0, "struct empty"), 3), (), id="array of empty structs"),
    ],
)
@pytest.mark.parametrize("offset", [pytest.param(8, id="at the end"), pytest.param(2, id="inside of a union")])
def test_a_member_without_a_size_reads_as_empty(held: Type, value: object, offset: int) -> None:
    fields = (Field("a", 0, 8, U64), Field("b", 0, 4, U32), Field("tail", offset, 0, held), Field("c", 8, 0, text(0)))

    assert Schema("event", 8, fields).decode(struct.pack("<Q", 5)) == (5, 5, value, "")


@pytest.mark.parametrize("name", ["from", "class", "_private", "count", "index", "def"])
def test_a_member_whose_name_is_taken_in_python_is_found_by_position(name: str) -> None:
    schema = packed("event", ("pid", U32), (name, U32))

    row = schema.decode(struct.pack("<II", 1, 2))

    assert row[1] == 2
    assert row.pid == 1


def test_members_of_one_name_are_both_read() -> None:
    schema = packed("event", ("pid", U32), ("pid", U32))

    assert tuple(schema.decode(struct.pack("<II", 1, 2))) == (1, 2)


@pytest.mark.parametrize("name", ["class", "", "(anon)", "a-b", "9"])
def test_any_name_of_a_struct_will_do(name: str) -> None:
    inner = Type("struct", 4, f"struct {name}", fields=(Field("x", 0, 4, U32),))

    assert packed(name, ("inner", inner)).decode(b"\1\0\0\0") == ((1,),)


def test_a_struct_without_a_size_is_refused() -> None:
    with pytest.raises(ValueError, match="struct opaque has no size"):
        Schema("opaque", 0, ()).decode(b"")


def test_what_is_derived_is_derived_once() -> None:
    schema = packed("event", ("pid", U32))

    assert type(schema.decode(bytes(4))) is schema.row is type(schema.decode(bytes(4)))


# What hypothesis draws: (type, code of `struct`, number of values that the code yields, values -> what decode gives).
SIMPLE: list[tuple[Type, str, int, Any]] = [
    (U8, "B", 1, lambda values: values[0]),
    (S8, "b", 1, lambda values: values[0]),
    (U16, "H", 1, lambda values: values[0]),
    (S32, "i", 1, lambda values: values[0]),
    (U64, "Q", 1, lambda values: values[0]),
    (POINTER, "Q", 1, lambda values: values[0]),
    (STATE, "I", 1, lambda values: values[0]),
    (BOOL, "?", 1, lambda values: values[0]),
    (array(U16, 3), "3H", 3, tuple),
    (array(S64, 2), "2q", 2, tuple),
    (text(5), "5s", 1, lambda values: values[0].split(b"\0")[0].decode("utf-8", "surrogateescape")),
    (POINT, "hh", 2, tuple),
    (array(POINT, 2), "4h", 4, lambda values: ((values[0], values[1]), (values[2], values[3]))),
]
members = st.lists(st.tuples(st.sampled_from(SIMPLE), st.integers(0, 5)), min_size=1, max_size=8)


def drawn(chosen: list[tuple[tuple[Type, str, int, Any], int]]) -> tuple[Schema, str]:
    fields, codes, offset = [], "<", 0
    for number, ((held, code, _, _), gap) in enumerate(chosen):
        fields.append(Field(f"member{number}", offset + gap, held.size, held))
        codes += f"{gap}x{code}"
        offset += gap + held.size
    return Schema("event", offset, tuple(fields)), codes


@given(members, st.data())
def test_decode_agrees_with_struct(chosen: list[tuple[tuple[Type, str, int, Any], int]], data: st.DataObject) -> None:
    schema, codes = drawn(chosen)
    record = data.draw(st.binary(min_size=schema.size, max_size=schema.size + 8))
    values = list(struct.unpack_from(codes, record))

    row = schema.decode(record)

    for got, ((_, _, count, expected), _) in zip(row, chosen, strict=True):
        assert got == expected([values.pop(0) for _ in range(count)])


@given(members, st.data())
def test_numpy_agrees_with_decode(chosen: list[tuple[tuple[Type, str, int, Any], int]], data: st.DataObject) -> None:
    schema, _ = drawn(chosen)
    record = data.draw(st.binary(min_size=schema.size, max_size=schema.size))
    row = schema.decode(record)

    element = np.frombuffer(record, dtype=schema.dtype)[0]

    assert schema.dtype.itemsize == schema.size
    for field, value in zip(schema.fields, row, strict=True):
        if field.type.kind == "text":  # NumPy keeps what follows the first NUL
            assert element[field.name].partition(b"\0")[0] == value.encode("utf-8", "surrogateescape")
        else:
            assert element[field.name].tolist() == (list(value) if field.type.kind == "array" else value)


@given(st.integers(0, 2**32 - 1), st.integers(0, 31), st.integers(1, 32), st.booleans())
def test_bitfields_agree_with_shifts(number: int, shift: int, width: int, signed: bool) -> None:  # noqa: FBT001
    width = min(width, 32 - shift)
    held = Type("int", 4, "int", signed=signed)
    schema = Schema("event", 4, (Field("value", 0, 4, held, bits=(shift, width)),))
    expected = int(f"{number:032b}"[32 - shift - width : 32 - shift], 2)
    if signed and expected >= 2 ** (width - 1):
        expected -= 2**width

    assert schema.decode(struct.pack("<I", number)).value == expected


def test_numpy_gives_a_union_overlapping_members_and_a_bitfield_its_bytes() -> None:
    schema = Schema(
        "event",
        8,
        (Field("a", 0, 4, U32), Field("b", 0, 8, U64), Field("c", 0, 2, U32, bits=(3, 9)), Field("", 4, 4, U32)),
    )

    element = np.frombuffer(bytes([1, 0, 0, 0, 2, 0, 0, 0]), dtype=schema.dtype)[0]

    assert (element["a"], element["b"], bytes(element["c"]), element["_3"]) == (1, 2 << 32 | 1, b"\1\0", 2)


def test_decode_is_fast_enough_to_be_called_for_every_event() -> None:
    # Not a benchmark: a loop over fields, or a decoder built for each call, would take far more calls than this.
    import sys

    schema = packed("event", *((f"member{number}", U64) for number in range(20)))
    record = bytes(schema.size)
    schema.decode(record)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    schema.decode(record)
    sys.setprofile(None)

    assert calls < 24


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        pytest.param((), None, id="no field"),
        pytest.param((Field("size", 0, 4, Type("int", 4, "u32")),), None, id="no process"),
        pytest.param(
            (Field("other", 0, 4, Type("int", 4, "u32"), "pid"), Field("tgid", 4, 4, Type("int", 4, "u32"), "pid")),
            "tgid",
            id="the one that is named so, not the first",
        ),
        pytest.param(
            (Field("a", 0, 4, Type("int", 4, "u32"), "tid"), Field("b", 4, 4, Type("int", 4, "u32"), "pid")),
            "a",
            id="the first with the meaning",
        ),
        pytest.param(
            (Field("pid", 0, 4, Type("int", 4, "u32"), "pid", (0, 5)), Field("b", 4, 4, Type("int", 4, "u32"), "tid")),
            "b",
            id="never a bitfield",
        ),
    ],
)
def test_the_process_of_a_record(fields, name):
    process = Schema("event", 8, fields).process

    assert (process.name if process else None) == name
