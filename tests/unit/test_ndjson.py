import datetime as dt
import json
import math
import subprocess
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.schema import Field, Schema, Type
from skep.stream.names import Names
from skep.view.ndjson import Ndjson

U8 = Type("int", 1, "u8")
U16 = Type("int", 2, "u16")
U32 = Type("int", 4, "u32")
U64 = Type("int", 8, "u64")
U128 = Type("int", 16, "u128")
S32 = Type("int", 4, "int", signed=True)
BOOL = Type("bool", 1, "bool")
DOUBLE = Type("float", 8, "double")
STATE = Type("enum", 4, "enum state", enum={0: "IDLE", 1: 'BU"SY'})
SECOND = 1_000_000_000
NAMES = Names(boot=1_790_000_000 * SECOND, utc_offset=3600, users={0: "root"}, groups={0: "wheel"})


def text(size: int) -> Type:
    return Type("text", size, f"char[{size}]")


def array(element: Type, count: int) -> Type:
    return Type("array", element.size * count, f"{element.name}[{count}]", element=element, count=count)


def packed(name: str, *members: tuple[str, Type] | tuple[str, Type, str | None]) -> Schema:
    offset = 0
    fields = []
    for member, held, *meaning in members:
        fields.append(Field(member, offset, held.size, held, meaning[0] if meaning else None))
        offset += held.size
    return Schema(name, offset, tuple(fields))


def struct_type(schema: Schema, kind: str = "struct") -> Type:
    return Type(kind, schema.size, f"{kind} {schema.name}", fields=schema.fields)


def strictly(line: str) -> Any:
    """Parses as a strict parser does: no NaN, no key twice, no lone surrogates."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    parsed = json.loads(line.encode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    json.dumps(parsed, ensure_ascii=False).encode("utf-8")
    return parsed


def one(schema: Schema, *values: Any, names: Names = NAMES) -> Any:
    line = Ndjson(names).render(schema, [schema.row(*values)])
    assert line.count("\n") == 1
    assert line.endswith("\n")
    return strictly(line)


def test_a_line_is_one_object_with_the_fields_in_their_order() -> None:
    schema = packed("open", ("ts", U64, "time_boot"), ("pid", U32, "pid"), ("_pad", U32), ("ret", S32, "result"))

    assert Ndjson(NAMES).render(schema, [schema.row(1_234_567, 7, 0, -2), schema.row(0, 7, 0, 3)]) == (
        '{"ts": 1234567, "ts_iso": "2026-09-21T15:13:20.001234+01:00", "pid": 7, "ret": -2, "ret_name": "ENOENT"}\n'
        '{"ts": 0, "ts_iso": null, "pid": 7, "ret": 3, "ret_name": null}\n'
    )


def test_no_rows_are_no_lines() -> None:
    assert Ndjson(NAMES).render(packed("open", ("pid", U32)), []) == ""


@pytest.mark.parametrize(
    ("held", "meaning", "value", "expected"),
    [
        pytest.param(U64, None, 2**64 - 1, {"f": 2**64 - 1}, id="a number of 64 bits"),
        pytest.param(U128, None, 2**128 - 1, {"f": 2**128 - 1}, id="a number of 128 bits"),
        pytest.param(S32, None, -1, {"f": -1}, id="a negative number"),
        pytest.param(BOOL, None, True, {"f": True}, id="true"),
        pytest.param(BOOL, None, False, {"f": False}, id="false"),
        pytest.param(DOUBLE, None, 0.1, {"f": 0.1}, id="a float"),
        pytest.param(DOUBLE, None, 1e300, {"f": 1e300}, id="a large float"),
        pytest.param(DOUBLE, None, math.inf, {"f": None}, id="infinity"),
        pytest.param(DOUBLE, None, math.nan, {"f": None}, id="not a number"),
        pytest.param(Type("float", 16, "long double"), None, b"\1\2", {"f": "0102"}, id="a float that Python lacks"),
        pytest.param(STATE, None, 0, {"f": 0, "f_name": "IDLE"}, id="an enum"),
        pytest.param(STATE, None, 1, {"f": 1, "f_name": 'BU"SY'}, id="an enum with a quote in its name"),
        pytest.param(STATE, None, 9, {"f": 9, "f_name": None}, id="an enum without a name"),
        pytest.param(Type("pointer", 8, "void *"), None, 4096, {"f": 4096}, id="a pointer"),
        pytest.param(Type("bytes", 2, ""), None, b"\xde\xad", {"f": "dead"}, id="bytes"),
        pytest.param(text(8), None, 'a"b\\c', {"f": 'a"b\\c'}, id="text with quotes"),
        pytest.param(text(8), None, "a\n\x1b\x7f\u202e", {"f": "a\n\x1b\x7f\u202e"}, id="text with controls"),
        pytest.param(text(8), None, "a\udcff\n", {"f": "a\\xff\n"}, id="text that is not UTF-8"),
        pytest.param(
            text(8), None, "%s 日本 \U0001f41d", {"f": "%s 日本 \U0001f41d"}, id="text that looks like a format"
        ),
        pytest.param(array(U8, 8), "comm", (104, 105, 0, 7, 0, 0, 0, 0), {"f": "hi"}, id="text in numbers"),
        pytest.param(array(U16, 3), None, (1, 2, 3), {"f": [1, 2, 3]}, id="an array"),
        pytest.param(array(STATE, 2), None, (0, 9), {"f": [0, 9], "f_name": ["IDLE", None]}, id="an array of enums"),
        pytest.param(array(text(2), 2), None, ("a", "b"), {"f": ["a", "b"]}, id="an array of text"),
        pytest.param(U64, "duration_ns", 1500, {"f": 1500}, id="a duration"),
        pytest.param(U64, "bytes", 1500, {"f": 1500}, id="an amount"),
        pytest.param(U32, "pid", 7, {"f": 7}, id="a process"),
        pytest.param(U32, "uid", 0, {"f": 0, "f_name": "root"}, id="a user"),
        pytest.param(U32, "uid", 7, {"f": 7, "f_name": None}, id="a user without a name"),
        pytest.param(U32, "gid", 0, {"f": 0, "f_name": "wheel"}, id="a group"),
        pytest.param(S32, "errno", 0, {"f": 0, "f_name": None}, id="no error"),
        pytest.param(S32, "errno", 13, {"f": 13, "f_name": "EACCES"}, id="an error"),
        pytest.param(U64, "result", 2**64 - 2, {"f": 2**64 - 2, "f_name": "ENOENT"}, id="an error without its sign"),
        pytest.param(S32, "signal", 9, {"f": 9, "f_name": "SIGKILL"}, id="a signal"),
        pytest.param(S32, "exit_code", 256, {"f": 256, "f_name": "1"}, id="a status"),
        pytest.param(S32, "syscall", 257, {"f": 257, "f_name": "openat"}, id="a system call"),
        pytest.param(S32, "open_flags", 1, {"f": 1, "f_name": "O_WRONLY"}, id="flags"),
        pytest.param(U16, "family", 2, {"f": 2, "f_name": "AF_INET"}, id="a family"),
        pytest.param(U16, "port", 443, {"f": 443}, id="a port"),
        pytest.param(U16, "port_be", 0xBB01, {"f": 0xBB01, "f_port": 443}, id="a port in network byte order"),
        pytest.param(U16, "port_be", 0, {"f": 0, "f_port": 0}, id="no port"),
        pytest.param(U32, "ipv4", 0x0100007F, {"f": 0x0100007F, "f_ip": "127.0.0.1"}, id="IPv4"),
        pytest.param(array(U8, 4), "ip", (10, 0, 0, 7), {"f": [10, 0, 0, 7], "f_ip": "10.0.0.7"}, id="IPv4 in bytes"),
        pytest.param(U128, "ipv6", 1 << 120, {"f": 1 << 120, "f_ip": "::1"}, id="IPv6"),
        pytest.param(
            array(U32, 2),
            "ipv4",
            (0x0100007F, 0),
            {"f": [0x0100007F, 0], "f_ip": ["127.0.0.1", "0.0.0.0"]},
            id="addresses",
        ),
        pytest.param(U32, "word of tomorrow", 7, {"f": 7}, id="an unknown meaning"),
        pytest.param(BOOL, "result", True, {"f": True}, id="a meaning that does not apply"),
    ],
)
def test_a_field_and_what_it_stands_for(held: Type, meaning: str | None, value: object, expected: object) -> None:
    schema = packed("event", ("f", held, meaning))

    assert one(schema, value) == expected


@pytest.mark.parametrize("held", [U32, array(U8, 16)])
@pytest.mark.parametrize("family", [2, 10, 1])
def test_an_address_is_read_as_the_family_beside_it_says(held: Type, family: int) -> None:
    schema = packed("event", ("family", U16, "family"), ("address", held, "ip"))
    value = 0x0100007F if held is U32 else (0x7F, 0, 0, 1, *bytes(12))

    other = "7f00:1::" if held.size == 16 else None  # four bytes are no IPv6 address
    assert one(schema, family, value)["address_ip"] == (other if family == 10 else "127.0.0.1")


@pytest.mark.parametrize(("family", "v4", "v6"), [(2, "127.0.0.1", None), (10, None, "7f00:1::")])
def test_of_two_addresses_in_one_place_the_other_familys_is_null(family: int, v4: str | None, v6: str | None) -> None:
    fields = (
        Field("family", 0, 2, U16, "family"),
        Field("v4", 4, 4, U32, "ipv4"),
        Field("v6", 4, 16, array(U8, 16), "ipv6"),
    )
    parsed = one(Schema("event", 20, fields), family, 0x0100007F, (0x7F, 0, 0, 1, *bytes(12)))

    assert (parsed["v4_ip"], parsed["v6_ip"]) == (v4, v6)


def test_a_struct_is_an_object_in_which_the_same_rule_holds() -> None:
    inner = struct_type(packed("inner", ("ret", S32, "result"), ("_hidden", U8), ("name", text(4))))
    schema = packed("event", ("one", inner), ("two", array(inner, 1)))
    expected = {"ret": -2, "ret_name": "ENOENT", "name": "x"}

    assert one(schema, (-2, 0, "x"), ((-2, 0, "x"),)) == {"one": expected, "two": [expected]}


def test_a_struct_of_padding_is_an_empty_object() -> None:
    assert one(packed("event", ("_", U32)), 1) == {}


def test_a_member_with_the_name_of_a_second_key_stands() -> None:
    schema = packed("event", ("ret", S32, "result"), ("ret_name", text(4)))

    assert one(schema, -2, "mine") == {"ret": -2, "ret_name": "mine"}


@pytest.mark.parametrize("name", ['a"b', "a%sb", "a\x1bb", "a\\b"])
def test_any_name_of_a_member_is_a_key(name: str) -> None:
    assert one(packed("event", (name, S32, "errno")), 2) == {name: 2, f"{name}_name": "ENOENT"}


def test_labelled_objects_say_which_schema_they_are_of() -> None:
    first = packed("open%s", ("event", U32))
    second = packed('cl"ose', ("_event", U32))
    view = Ndjson(NAMES, labelled=True)

    assert view.render(first, [first.row(1)]) == '{"_event": "open%s", "event": 1}\n'
    assert strictly(view.render(second, [second.row(1)])) == {"_event": 'cl"ose'}
    assert view.render(first, [first.row(2)]) == '{"_event": "open%s", "event": 2}\n'


@pytest.mark.parametrize("character", ["\n", "\x00", "\x1b", "\x7f", "\x9b", "\u202e", "\U000e0041"])
def test_text_that_would_act_on_a_terminal_is_written_in_ascii(character: str) -> None:
    schema = packed("event", ("path", text(8)))
    line = Ndjson(NAMES).render(schema, [schema.row(f"a{character}b")])

    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    assert strictly(line) == {"path": f"a{character}b"}


@given(st.integers(1, 2**64 - 1), st.integers(-14 * 60, 14 * 60))
def test_a_moment_is_iso_8601_as_datetime_reads_it(value: int, minutes: int) -> None:
    schema = packed("event", ("ts", U64, "time_boot"))
    text = one(schema, value, names=Names(boot=NAMES.boot, utc_offset=minutes * 60))["ts_iso"]

    moment = dt.datetime.fromisoformat(text)

    expected = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=(value + NAMES.boot) // 1000)
    assert moment == expected
    assert moment.utcoffset() == dt.timedelta(minutes=minutes)


@pytest.mark.parametrize("boot", [-(10**20), 10**21])
def test_a_moment_outside_of_the_calendar_is_null(boot: int) -> None:
    assert one(packed("event", ("ts", U64, "time_boot")), 1, names=Names(boot=boot))["ts_iso"] is None


WORDS = ["time_tai", "duration_us", "uid", "comm", "result", "exit_code", "open_flags", "family", "ipv4", "ipv6", "ip"]
WORDS += ["port_be", "bytes", "pointer", "nonsense"]
KINDS = [U8, U64, S32, BOOL, DOUBLE, STATE, U128, text(8), array(U8, 16), array(text(3), 2), array(DOUBLE, 2)]
KINDS += [Type("bytes", 4, ""), struct_type(packed("u", ("v4", U32, "ipv4"), ("v6", array(U8, 16), "ipv6")))]


@given(
    st.lists(
        st.tuples(st.text(max_size=6), st.sampled_from(KINDS), st.sampled_from([*WORDS, None])),
        min_size=1,
        max_size=6,
        unique_by=lambda member: member[0],
    ),
    st.data(),
)
def test_every_record_is_one_line_of_strict_json_without_controls(members: list[Any], data: st.DataObject) -> None:
    schema = packed("event", *members)
    record = data.draw(st.binary(min_size=schema.size, max_size=schema.size))

    line = Ndjson(NAMES).render(schema, [schema.decode(record)])

    assert line.endswith("\n")
    assert all(unicodedata.category(character)[0] != "C" for character in line[:-1])
    strictly(line)


@given(st.binary(max_size=12))
def test_text_comes_back_as_it_was_but_for_bytes_that_are_not_utf8(raw: bytes) -> None:
    raw = raw.replace(b"\0", b"").replace(b"\\", b"")
    schema = packed("event", ("path", text(16)))

    parsed = strictly(Ndjson(NAMES).render(schema, [schema.decode(raw.ljust(16, b"\0"))]))

    assert parsed["path"] == raw.decode("utf-8", "backslashreplace")


def test_jq_reads_every_line_with_the_right_types() -> None:
    schema = packed(
        "event",
        ("ts", U64, "time_boot"),
        ("uid", U32, "uid"),
        ("ret", S32, "result"),
        ("ok", BOOL),
        ("load", DOUBLE),
        ("state", STATE),
        ("path", text(32), "text"),
        ("slots", array(U16, 2)),
    )
    paths = ["/tmp/a", '\x1b[2J"\\\n', "\u202egnp.exe", "\udcff\udc80", "日本"]
    rows = [schema.row(SECOND, 0, -2, True, 0.5, 1, path, (number, 2)) for number, path in enumerate(paths)]

    asked = '[.ts_iso[:4], .uid_name, .ret_name, .state_name, .slots[0], .path, ([.[] | type] | unique | join(" "))]'
    lines = subprocess.run(
        ["jq", "-c", asked], input=Ndjson(NAMES).render(schema, rows), capture_output=True, text=True, check=True
    ).stdout.splitlines()

    shown = ["/tmp/a", '\x1b[2J"\\\n', "\u202egnp.exe", r"\xff\x80", "日本"]
    assert [json.loads(line) for line in lines] == [
        ["2026", "root", "ENOENT", 'BU"SY', number, path, "array boolean number string"]
        for number, path in enumerate(shown)
    ]
