import subprocess
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.schema import Field, Schema, Type
from skep.stream.names import Names
from skep.view.table import Table

U8 = Type("int", 1, "u8")
U16 = Type("int", 2, "u16")
U32 = Type("int", 4, "u32")
U64 = Type("int", 8, "u64")
S32 = Type("int", 4, "int", signed=True)
BOOL = Type("bool", 1, "bool")
STATE = Type("enum", 4, "enum state", enum={0: "IDLE", 1: "BUSY", 2: "\x1b[2J"})
NAMES = Names(monotonic=1_000_000_000_000_000, users={0: "root"})


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


OPEN = packed(
    "open",
    ("ts", U64, "time_monotonic"),
    ("pid", U32, "pid"),
    ("comm", text(16), "comm"),
    ("_pad", U32),
    ("ret", S32, "result"),
    ("path", text(64)),
)


def opened(pid: int = 1, comm: str = "bash", ret: int = 3, path: str = "/etc/passwd") -> Any:
    return OPEN.row(5_000_000_000, pid, comm, 0, ret, path)


def one(schema: Schema, *values: Any) -> list[str]:
    """What a row of these values looks like, column by column; no value may have two spaces in it."""
    header, line = Table(NAMES).render(schema, [schema.row(*values)]).splitlines()
    assert header
    return [part.strip() for part in line.split("  ") if part.strip()]


def test_rows_stand_under_a_header() -> None:
    rows = [opened(), opened(4194304, "kworker/0:1", -2, "/nowhere")]

    assert Table(NAMES).render(OPEN, rows).splitlines() == [
        "TS                   PID  COMM                 RET  PATH",
        "13:46:45.000000        1  bash                   3  /etc/passwd",
        "13:46:45.000000  4194304  kworker/0:1       ENOENT  /nowhere",
    ]


def test_the_header_comes_once() -> None:
    table = Table(NAMES)
    first, second = table.render(OPEN, [opened()]), table.render(OPEN, [opened()])

    assert first.endswith(second)
    assert second.count("\n") == 1


def test_no_rows_are_no_lines_and_no_header() -> None:
    table = Table(NAMES)

    assert table.render(OPEN, []) == ""
    assert table.render(OPEN, iter([opened()])).startswith("TS")


def test_every_schema_has_its_header_and_lines_that_say_whose_they_are() -> None:
    close = packed("close\x1b", ("pid", U32, "pid"), ("fd", S32))
    table = Table(NAMES, labelled=True)
    lines = [
        table.render(OPEN, [opened()]),
        table.render(close, [close.row(1, 3)]),
        table.render(OPEN, [opened()]),
    ]

    assert "".join(lines).splitlines() == [
        "EVENT         TS                   PID  COMM                 RET  PATH",
        "open          13:46:45.000000        1  bash                   3  /etc/passwd",
        r"EVENT             PID        FD",
        r"close\x1b           1         3",
        "open          13:46:45.000000        1  bash                   3  /etc/passwd",
    ]


@pytest.mark.parametrize(
    ("held", "value", "shown"),
    [
        pytest.param(U32, 7, "7", id="a number"),
        pytest.param(BOOL, True, "true", id="true"),
        pytest.param(BOOL, False, "false", id="false"),
        pytest.param(Type("float", 8, "double"), 0.5, "0.5", id="a float"),
        pytest.param(Type("float", 8, "double"), float("nan"), "nan", id="a float that is no number"),
        pytest.param(Type("float", 16, "long double"), b"\1\2", "0102", id="a float that Python lacks"),
        pytest.param(STATE, 1, "BUSY", id="an enum by name"),
        pytest.param(STATE, 9, "9", id="an enum without a name"),
        pytest.param(STATE, 2, r"\x1b[2J", id="an enum whose name is an attack"),
        pytest.param(Type("pointer", 8, "void *"), 4096, "0x1000", id="a pointer"),
        pytest.param(text(8), "a\tb", r"a\tb", id="text, escaped"),
        pytest.param(Type("bytes", 2, ""), b"\xde\xad", "dead", id="bytes"),
        pytest.param(array(U16, 3), (1, 2, 3), "[1, 2, 3]", id="an array"),
        pytest.param(array(U16, 0), (), "[]", id="an empty array"),
        pytest.param(array(text(2), 2), ("a", "\x07"), r"[a, \x07]", id="an array of text"),
        pytest.param(array(array(U8, 1), 2), ((1,), (2,)), "[[1], [2]]", id="an array of arrays"),
        pytest.param(struct_type(packed("p", ("a", U8), ("b", text(4)))), (1, "x"), "{a=1, b=x}", id="a struct"),
        pytest.param(struct_type(packed("p", ("a", U8), ("_b", U8))), (1, 2), "{a=1}", id="a struct with padding"),
        pytest.param(struct_type(packed("e")), (), "{}", id="a struct without members"),
        pytest.param(
            array(struct_type(packed("p", ("r", S32, "result"))), 2),
            ((-2,), (5,)),
            "[{r=ENOENT}, {r=5}]",
            id="an array of structs whose members have a meaning",
        ),
    ],
)
def test_a_value_without_a_meaning(held: Type, value: object, shown: str) -> None:
    assert one(packed("event", ("value", held)), value) == [shown]


@pytest.mark.parametrize(
    ("held", "meaning", "value", "shown"),
    [
        pytest.param(array(U64, 2), "duration_ns", (5, 1500), "[5 ns, 1.500 us]", id="each of an array"),
        pytest.param(array(U8, 4), "ipv4", (10, 0, 0, 7), "10.0.0.7", id="an address of bytes"),
        pytest.param(array(U32, 2), "ipv4", (0x0100007F, 0), "[127.0.0.1, 0.0.0.0]", id="an array of addresses"),
        pytest.param(array(U8, 8), "text", (104, 105, 0, 7, 0, 0, 0, 0), "hi", id="text in bytes"),
        pytest.param(Type("int", 16, "u128"), "ipv6", 1 << 120, "::1", id="an address of one number"),
        pytest.param(text(8), "pid", "x", "x", id="text is text, whatever it should mean"),
        pytest.param(U32, "text", 7, "7", id="a number is no text"),
        pytest.param(BOOL, "result", True, "true", id="a bool is no result"),
        pytest.param(U64, "ipv4", 7, "7", id="eight bytes are no address"),
        pytest.param(Type("int", 16, "u128"), "time_boot", 7, "7", id="no clock has 128 bits"),
        pytest.param(U32, "word of tomorrow", 7, "7", id="an unknown meaning"),
        pytest.param(STATE, "errno", 1, "EPERM", id="a meaning goes before an enum"),
    ],
)
def test_a_meaning_applies_where_the_type_allows_it(held: Type, meaning: str, value: object, shown: str) -> None:
    assert one(packed("event", ("value", held, meaning)), value) == [shown]


IN6 = struct_type(packed("in6_addr", ("u6", struct_type(packed("u", ("addr8", array(U8, 16))), "union"))))
V4_OR_V6 = Type("union", 16, "union", fields=(Field("v4", 0, 4, U32), Field("v6", 0, 16, array(U8, 16))))
OCTETS = (0x20, 1, 0x0D, 0xB8, *bytes(11), 1)


@pytest.mark.parametrize(
    ("held", "meaning", "value", "family", "shown"),
    [
        pytest.param(array(U8, 16), "ip", OCTETS, 2, "32.1.13.184", id="either, by the family"),
        pytest.param(array(U8, 16), "ip", OCTETS, 10, "2001:db8::1", id="either, by the other family"),
        pytest.param(IN6, "ipv6", ((OCTETS,),), 10, "2001:db8::1", id="struct in6_addr"),
        pytest.param(V4_OR_V6, "ip", (0, OCTETS), 10, "2001:db8::1", id="union, IPv6"),
        pytest.param(V4_OR_V6, "ip", (0, OCTETS), 2, "32.1.13.184", id="union, IPv4"),
        pytest.param(U32, "ip", 0x0100007F, 2, "127.0.0.1", id="four bytes"),
        pytest.param(U32, "ipv4", 0x0100007F, 2, "127.0.0.1", id="IPv4 and the family says so"),
    ],
)
def test_an_address_is_read_as_the_family_beside_it_says(
    held: Type, meaning: str, value: object, family: int, shown: str
) -> None:
    schema = packed("event", ("family", U16, "family"), ("address", held, meaning))

    assert one(schema, family, value)[1] == shown


@pytest.mark.parametrize(("family", "shown"), [(2, ["AF_INET", "127.0.0.1", "1"]), (10, ["AF_INET6", "7f00:1::", "1"])])
def test_of_two_addresses_in_one_place_the_other_familys_is_empty(family: int, shown: list[str]) -> None:
    fields = (
        Field("family", 0, 2, U16, "family"),
        Field("v4", 4, 4, U32, "ipv4"),
        Field("v6", 4, 16, array(U8, 16), "ipv6"),
        Field("end", 20, 1, U8),
    )

    assert one(Schema("event", 21, fields), family, 0x0100007F, (0x7F, 0, 0, 1, *bytes(12)), 1) == shown


def test_a_struct_without_an_address_inside_is_shown_as_a_struct() -> None:
    odd = struct_type(packed("odd", ("a", U64), ("b", U64)))

    assert one(packed("event", ("address", odd, "ip")), (1, 2)) == ["{a=1, b=2}"]


@pytest.mark.parametrize("name", ["_", "_reserved", "pad", "pad0", "__pad1", "padding", "padding_2", ""])
def test_padding_is_hidden(name: str) -> None:
    schema = packed("event", ("a", U32), (name, U32))

    assert Table(NAMES).render(schema, [schema.row(1, 2)]).split() == ["A", "1"]


@pytest.mark.parametrize("name", ["paddr", "padded", "pa", "x_pad"])
def test_what_only_sounds_like_padding_is_shown(name: str) -> None:
    schema = packed("event", (name, U32))

    assert Table(NAMES).render(schema, [schema.row(1)]).split() == [name.upper(), "1"]


def test_a_schema_of_nothing_but_padding_is_no_table() -> None:
    schema = packed("event", ("_", U32))

    assert Table(NAMES).render(schema, [schema.row(1)]) == ""


def test_columns_grow_with_the_first_batch() -> None:
    schema = packed("event", ("name", text(4)), ("count", U8), ("end", text(4)))

    assert Table(NAMES).render(schema, [schema.row("a much longer name", 100000, "x")]).splitlines() == [
        "NAME                 COUNT  END",
        "a much longer name  100000  x",
    ]


def test_one_huge_value_in_the_first_batch_does_not_widen_its_column_without_end() -> None:
    schema = packed("event", ("name", text(4)), ("count", U8))

    header, huge, small = Table(NAMES).render(schema, [schema.row("x" * 300, 1), schema.row("y", 2)]).splitlines()

    assert header == "NAME" + " " * 38 + "COUNT"
    assert huge == "x" * 300 + "  1"
    assert small == "y" + " " * 45 + "2"


def test_a_long_value_pushes_only_its_own_line_and_only_until_there_is_room() -> None:
    schema = packed("event", ("name", text(8)), ("count", U64), ("end", text(8)))
    table = Table(NAMES)
    table.render(schema, [schema.row("a", 1, "x")])
    lines = table.render(schema, [schema.row("a", 1, "x"), schema.row("a" * 12, 1, "x"), schema.row("a" * 20, 7, "x")])

    assert lines.splitlines() == [
        "a                  1  x",
        "aaaaaaaaaaaa       1  x",
        "aaaaaaaaaaaaaaaaaaaa  7  x",
    ]


def test_characters_that_take_two_cells_keep_the_columns_straight() -> None:
    schema = packed("event", ("name", text(12)), ("count", U32))
    rows = [schema.row("日本", 1), schema.row("abcd", 1), schema.row("e\u0301e\u0301", 1)]
    _, wide, plain, combined = Table(NAMES).render(schema, rows).splitlines()

    assert wide.index("1") == plain.index("1") - 2
    assert combined.index("1") == plain.index("1") + 2


def test_the_last_column_is_not_cut_where_there_is_no_terminal() -> None:
    assert Table(NAMES).render(OPEN, [opened(path="x" * 500)]).endswith("x" * 500 + "\n")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        pytest.param("x" * 24, "x" * 24, id="fits"),
        pytest.param("x" * 25, "x" * 23 + "…", id="one too many"),
        pytest.param("日" * 13, "日" * 11 + "…", id="wide characters"),
        pytest.param("\x1b" * 7, r"\x1b\x1b\x1b\x1b\x1b\x1" + "…", id="escaped"),
    ],
)
def test_the_last_column_is_cut_to_the_terminal(path: str, shown: str) -> None:
    header, line = Table(NAMES, width=76).render(OPEN, [opened(path=path)]).splitlines()

    assert header.endswith("PATH")
    assert line == "13:46:45.000000        1  bash                   3  " + shown


def test_on_a_narrow_terminal_columns_share_what_is_left() -> None:
    schema = packed("slow", ("comm", text(16), "comm"), ("took", U64, "duration_ns"), ("size", U64, "bytes"))
    row = schema.row("cat", 1500, 4096)

    def lines(width: int) -> list[str]:
        return Table(NAMES, width=width).render(schema, [row]).splitlines()

    assert lines(80) == [
        "COMM                   TOOK       SIZE",
        "cat                1.500 us    4.0 KiB",
    ]
    assert lines(32) == [
        "COMM             TOOK      SIZE",
        "cat          1.500 us   4.0 KiB",
    ]
    # No value is cut, and what has no room runs over.
    assert lines(20) == lines(5) == ["COMM      TOOK     SIZE", "cat   1.500 us  4.0 KiB"]


def test_a_number_is_never_cut() -> None:
    schema = packed("event", ("name", text(16)), ("count", U64))
    line = Table(NAMES, width=20).render(schema, [schema.row("x", 2**64 - 1)])

    assert str(2**64 - 1) in line


def test_a_terminal_that_is_too_narrow_still_shows_something_of_the_last_column() -> None:
    assert Table(NAMES, width=20).render(OPEN, [opened(path="/very/long/path")]).endswith("  /very/lon…\n")


def test_no_line_ends_in_spaces() -> None:
    lines = Table(NAMES).render(OPEN, [opened(path=""), opened(path="x")]).splitlines()

    assert lines == [line.rstrip() for line in lines]


def test_names_that_become_known_later_are_used() -> None:
    users: dict[int, str] = {5: ""}
    schema = packed("event", ("uid", U32, "uid"))
    table = Table(Names(users=users))
    table.render(schema, [schema.row(7)])
    users[7] = "mira"

    assert table.render(schema, [schema.row(7)]) == "mira\n"


KINDS = [U8, U64, S32, BOOL, STATE, text(8), array(U8, 16), array(text(3), 2), IN6, V4_OR_V6, Type("bytes", 4, "")]
WORDS = ["time_boot", "duration_us", "uid", "comm", "result", "exit_code", "open_flags", "family", "ipv4", "ipv6", "ip"]
WORDS += ["port_be", "bytes", "pointer", "nonsense"]


@given(
    st.lists(
        st.tuples(st.text(max_size=6), st.sampled_from(KINDS), st.sampled_from([*WORDS, None])), min_size=1, max_size=6
    ),
    st.data(),
    st.none() | st.integers(1, 200),
)
def test_no_record_makes_a_table_fail_or_reaches_the_terminal_as_controls(
    members: list[Any], data: st.DataObject, width: int | None
) -> None:
    schema = packed("event", *members)
    records = [data.draw(st.binary(min_size=schema.size, max_size=schema.size)) for _ in range(2)]

    lines = Table(NAMES, width=width, labelled=True).render(schema, map(schema.decode, records)).split("\n")

    assert len(lines) == 4
    for line in lines:
        assert all(unicodedata.category(character)[0] != "C" for character in line)
        line.encode("utf-8")


@given(
    st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=0x3000), max_size=12), min_size=1),
    st.integers(60, 90),
)
def test_no_line_is_wider_than_the_terminal(paths: list[str], width: int) -> None:
    lines = Table(NAMES, width=width).render(OPEN, [opened(path=path * 5) for path in paths]).splitlines()

    for line in lines:
        cells = sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)
        combining = sum(1 for character in line if unicodedata.combining(character))
        assert cells - combining <= max(width, 62)


@pytest.mark.parametrize("module", ["skep.view.table", "skep.view.ndjson"])
def test_importing_a_view_stays_cheap(module: str) -> None:
    code = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())

    assert module in loaded
    assert not loaded & {"typing", "dataclasses", "ipaddress", "datetime", "textwrap", "inspect", "logging", "enum"}
    assert not loaded & {"json", "re", "socket", "unicodedata"}
