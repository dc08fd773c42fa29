"""`--filter`: the grammar, what values mean for a field, and what is said of a mistake."""

import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.errors import SkepError, UsageError
from skep.base.schema import Field, Schema, Type
from skep.stream.names import Names
from skep.view.filter import Filter, Filtered
from skep.view.ndjson import Ndjson
from skep.view.selection import Tally, selected

U16 = Type("int", 2, "u16")
U32 = Type("int", 4, "u32")
U64 = Type("int", 8, "u64")
S32 = Type("int", 4, "int", signed=True)
COMM = Type("text", 16, "char[16]")
STATE = Type("enum", 4, "enum state", enum={0: "IDLE", 1: "BUSY"})
PAIR = Type("array", 8, "u32[2]", element=U32, count=2)
NAMES = Names(users={0: "root"})


def schema_of(name, *members):
    fields, offset = [], 0
    for member, held, *meaning in members:
        fields.append(Field(member, offset, held.size, held, meaning[0] if meaning else None))
        offset += held.size
    return Schema(name, offset, tuple(fields))


CALL = schema_of(
    "call",
    ("pid", U32, "pid"),
    ("comm", COMM, "comm"),
    ("ret", S32, "result"),
    ("took", U64, "duration_ns"),
    ("failed", Type("bool", 1, "bool")),
    ("state", STATE),
    ("daddr", U32, "ipv4"),
    ("dport", U16, "port_be"),
    ("signal", S32, "signal"),
    ("uid", U32, "uid"),
    ("pair", PAIR),
    ("raw", U64, "result"),
)
ROW = (3, "python3", -2, 12_000_000, True, 1, 0x0100007F, 0xBB01, 9, 0, (1, 2), (1 << 64) - 13)


def holds(text, row=ROW):
    test = Filter(text).test(CALL, NAMES)
    assert test is not None
    return bool(test(row))


@pytest.mark.parametrize(
    "text",
    [
        'pid == 3 and comm =~ "py.*" and ret < 0',
        "pid==3",
        "pid == 0x3",
        "pid != 4 and not pid == 4",
        "pid > 2 and pid < 4 and pid >= 3 and pid <= 3",
        "pid > -1 and pid < 99999999999999999999",
        "comm == python3",
        "comm == 'python3' and comm != 'python'",
        r'comm == "python3" or comm == "a \"quote\""',
        "comm =~ ^py and comm !~ bash",
        "ret == ENOENT and ret == -2 and ret != EPERM",
        "raw == EACCES and raw < 0",
        "took > 10ms and took < 0.1s and took == 12000000",
        "failed and failed == true and not failed == false",
        "state == BUSY and state == 1 and state != IDLE and state =~ ^B",
        "daddr == 127.0.0.1 and daddr != 10.0.0.1 and daddr =~ '^127[.]'",
        "dport == 443 and dport > 400",
        "signal == SIGKILL and signal == 9",
        "uid == root and uid == 0 and uid != nobody",
        "pair and pair =~ 2",
        "pid == 4 or comm == bash or ret == -2",
        "not (pid == 4 or comm == bash)",
        "not not pid",
        "pid == 4 and pid == 4 or pid == 3",
        "pid == 3 or pid == 4 and pid == 4",
    ],
)
def test_an_expression_holds(text):
    assert holds(text)
    assert not holds(f"not ({text})")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a field is expected, not the end\n    \n    ^"),
        ("pid ==", "a value is expected, not the end\n    pid ==\n          ^"),
        ("pid = 3", "'=' is no operator\n    pid = 3\n        ^"),
        ("pid == 3 comm", "'and' or 'or' is expected, not comm\n    pid == 3 comm\n             ^"),
        ("(pid == 3", "')' is expected\n    (pid == 3\n             ^"),
        ("pid == 3)", "'and' or 'or' is expected, not )\n    pid == 3)\n            ^"),
        ("and", "a field is expected, not and\n    and\n    ^"),
        ('comm == "py', 'this text does not end\n    comm == "py\n            ^'),
        ('comm =~ "p(y"', "this is no regular expression: missing ), unterminated subpattern at position 1"),
        ('comm =~ "p(y"', '\n    comm =~ "p(y"\n              ^'),
        ("comm == '\x1b[2J", "this text does not end\n    comm == '\\x1b[2J\n            ^"),
        ("(" * 100 + "pid", "this is nested too deeply"),
    ],
)
def test_a_mistake_is_pointed_to(text, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        Filter(text)


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("pid == 3 and comm < 5", "comm is no number (char[16]): it has no order", None),
        ("pair > 1", "pair is no number (u32[2]): it has no order", None),
        ("ret == ENOENTT", "ret has no value ENOENTT", "Did you mean ENOENT?"),
        ("state == BUSI", "state takes one of IDLE, BUSY, or a number", None),
        ("pid == bash", "pid takes a number (u32), not 'bash'", None),
        ("daddr == 300.0.0.1", "daddr takes an IPv4 address, not '300.0.0.1'", None),
        ("took > 1.5ns", "took counts whole ns", None),
    ],
)
def test_a_value_that_a_field_cannot_have_is_refused(text, message, remedy):
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        Filter(text).test(CALL, NAMES)

    assert "^" in caught.value.message
    assert caught.value.remedy == remedy


def test_the_caret_stands_under_the_field_that_has_no_order_and_under_the_value_that_does_not_fit():
    for text, at in (("pid and comm < 5", 8), ("pid and ret == X", 15), ("took > 1.5ns", 7)):
        with pytest.raises(UsageError) as caught:
            Filter(text).test(CALL, NAMES)

        assert caught.value.message.splitlines()[-1] == " " * (4 + at) + "^"


def test_records_that_lack_a_field_are_not_shown_and_a_field_that_none_have_is_an_error():
    other = schema_of("other", ("cpu", U32))
    view = Filtered(Ndjson(NAMES), NAMES, [CALL, other], "cpu == 1")

    assert view.render(other, [(1,), (2,)]) == '{"cpu": 1}\n'
    assert view.render(CALL, [ROW]) == ""
    assert view.finish() == ""
    with pytest.raises(UsageError, match="there is no field cmm") as caught:
        Filtered(Ndjson(NAMES), NAMES, [CALL, other], "cmm == bash")
    assert caught.value.remedy == "Did you mean comm?"


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("pid == -1", "pid is 0 to 4294967295 (u32): this is never so\n    pid == -1\n           ^", None),
        ("pid > 4294967295", "pid is 0 to 4294967295 (u32): this is never so", None),
        ("ret > 0 and pid <= -1", "pid is 0 to 4294967295 (u32): this is never so", None),
        ("signal < -2147483648", "signal is -2147483648 to 2147483647 (int): this is never so", None),
        ("flag == 4", "flag is 0 to 3 (u32): this is never so", None),
        ("pid == -1 or dport == 65536", "pid is 0 to 4294967295 (u32): this is never so", None),
        (
            "comm == averylongcommandname",
            "comm has room for 15 bytes, and this is 20: this is never so",
            "The kernel keeps the first 15: averylongcomman",
        ),
        ("path == 12345", "path has room for 4 bytes, and this is 5: this is never so", None),
        ("comm and flag", "no records have all of comm, flag", None),
    ],
)
def test_what_can_never_be_is_refused(text, message, remedy):
    other = Schema(
        "other",
        8,
        (Field("flag", 0, 4, U32, None, (0, 2)), Field("path", 4, 4, Type("text", 4, "char[4]"), "text")),
    )

    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        Filtered(Ndjson(NAMES), NAMES, [CALL, other], text)
    assert caught.value.remedy == remedy


@pytest.mark.parametrize(
    "text",
    [
        "pid == -1 or pid == 3",
        "not pid == -1",
        "pid != -1 and comm != averylongcommandname",
        "pid < 4294967296 and signal >= -2147483648",
        "not (comm == averylongcommandname and pid == 3)",
        "raw < 0 and ret < 99999999999",
    ],
)
def test_what_may_be_is_not_refused(text):
    Filter(text).check([CALL], NAMES)

    assert holds(text)


def test_records_of_one_kind_may_have_what_those_of_another_have_no_room_for():
    wide = schema_of("wide", ("pid", U64))
    view = Filtered(Ndjson(NAMES), NAMES, [CALL, wide], "pid == 4294967296")

    assert view.render(wide, [(1 << 32,), (3,)]) == '{"pid": 4294967296}\n'
    assert view.render(CALL, [ROW]) == ""


def test_what_is_let_through_is_counted():
    tally = Tally()
    view = selected(lambda: Ndjson(NAMES), NAMES, [CALL], filter="pid == 3", tally=tally)

    assert len(view.render(CALL, iter([ROW, (4, *ROW[1:]), ROW])).splitlines()) == 2
    assert tally.passed == 2


def test_a_type_that_becomes_known_during_the_run_is_filtered_too():
    view = Filtered(Ndjson(NAMES), NAMES, [], "cpu == 1")

    assert view.render(schema_of("late", ("cpu", U32)), [(1,), (2,)]) == '{"cpu": 1}\n'


_WORDS = ["pid", "comm", "and", "or", "not", "(", ")", "==", "<", "=~", "3", "'x'", '"', "ENOENT", "1ms", "[", "\\"]


@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(_WORDS), max_size=12).map(" ".join)))
def test_any_text_is_an_expression_or_an_error_of_skep(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of patterns that Python may come to read otherwise
        try:
            test = Filter(text).test(CALL, NAMES)
        except SkepError:
            return
    assert test is None or bool(test(ROW)) in {True, False}
