"""Options: values of `const volatile` variables, to and from Python and text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.errors import ProgramError, UsageError
from skep.base.schema import Field, Type
from skep.spec.annotations import read_note
from skep.spec.variables import VariableSpec

U8 = Type("int", 1, "u8")
U32 = Type("int", 4, "u32")
U64 = Type("int", 8, "u64")
S8 = Type("int", 1, "s8", signed=True)
S32 = Type("int", 4, "int", signed=True)
U128 = Type("int", 16, "unsigned __int128")
BOOL = Type("bool", 1, "bool")
MODE = Type("enum", 4, "enum mode", enum={0: "IDLE", 1: "BUSY"})
LEVEL = Type("enum", 4, "enum level", signed=True, enum={-1: "LOW", 1: "HIGH"})
TEXT = Type("text", 8, "char[8]", count=8)
POINT = Type("struct", 4, "struct point")
CHAR = Type("int", 1, "char", signed=True)
WIDE = Type("enum", 8, "enum wide", enum={0: "SMALL", 1 << 40: "HUGE"})
FLOAT = Type("float", 4, "float")
DOUBLE = Type("float", 8, "double")
LONG_DOUBLE = Type("float", 16, "long double")
BE16 = Type("int", 2, "__be16")
BE32 = Type("int", 4, "__be32")
OCTETS = Type("array", 16, "u8[16]", element=U8, count=16)
IN6 = Type("struct", 16, "struct in6_addr", fields=(Field("in6_u", 0, 16, OCTETS),))


def variable(type_: Type, name: str = "limit", data: bytes | None = None, note: str = "") -> VariableSpec:
    return VariableSpec(name, ".rodata", 0, type_, bytes(type_.size) if data is None else data, read_note(note))


@pytest.mark.parametrize(
    ("type_", "data", "value"),
    [
        pytest.param(U32, b"\xff\xff\xff\xff", 2**32 - 1, id="unsigned"),
        pytest.param(S32, b"\xff\xff\xff\xff", -1, id="signed"),
        pytest.param(U128, b"\0" * 15 + b"\1", 1 << 120, id="128 bits"),
        pytest.param(BOOL, b"\1", True, id="bool"),
        pytest.param(BOOL, b"\0", False, id="bool that is false"),
        pytest.param(LEVEL, b"\xff\xff\xff\xff", -1, id="enum"),
        pytest.param(TEXT, b"abc\0xyz\0", "abc", id="text ends at the first NUL"),
        pytest.param(TEXT, b"abcdefgh", "abcdefgh", id="text that fills its array"),
        pytest.param(TEXT, b"\xff\0\0\0\0\0\0\0", "\udcff", id="text that is not UTF-8"),
        pytest.param(POINT, b"\1\2\3\4", b"\1\2\3\4", id="struct is bytes"),
    ],
)
def test_value_reads_the_bytes_of_the_object(type_: Type, data: bytes, value: object) -> None:
    found = variable(type_, data=data).value

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("type_", "value", "data"),
    [
        pytest.param(U8, 255, b"\xff", id="the largest"),
        pytest.param(U8, 0, b"\0", id="zero"),
        pytest.param(S8, -128, b"\x80", id="the least"),
        pytest.param(S8, 127, b"\x7f", id="the largest of a signed one"),
        pytest.param(U64, 2**64 - 1, b"\xff" * 8, id="the largest of 64 bits"),
        pytest.param(U128, 2**128 - 1, b"\xff" * 16, id="the largest of 128 bits"),
        pytest.param(U32, True, b"\1\0\0\0", id="True for a number"),
        pytest.param(U32, np.int64(7), b"\7\0\0\0", id="a number of NumPy"),
        pytest.param(BOOL, True, b"\1", id="True"),
        pytest.param(BOOL, 0, b"\0", id="0 for a bool"),
        pytest.param(MODE, 7, b"\7\0\0\0", id="a number that the enum does not name"),
        pytest.param(MODE, "BUSY", b"\1\0\0\0", id="an enum by name"),
        pytest.param(LEVEL, "LOW", b"\xff" * 4, id="a negative enum by name"),
        pytest.param(TEXT, "", b"\0" * 8, id="no text"),
        pytest.param(TEXT, "abcdefg", b"abcdefg\0", id="text that leaves room for its NUL"),
        pytest.param(TEXT, "é", b"\xc3\xa9\0\0\0\0\0\0", id="text in UTF-8"),
        pytest.param(TEXT, "\udcff", b"\xff\0\0\0\0\0\0\0", id="text that is not UTF-8"),
        pytest.param(POINT, b"\1\2\3\4", b"\1\2\3\4", id="struct as bytes"),
    ],
)
def test_setting_a_value_writes_its_bytes(type_: Type, value: int | str | bytes, data: bytes) -> None:
    option = variable(type_)

    option.value = value

    assert option.data == data


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        pytest.param(U8, 256, "limit takes a u8, 0 to 255", id="too large"),
        pytest.param(U8, -1, "limit takes a u8, 0 to 255", id="negative for an unsigned one"),
        pytest.param(S8, 128, "limit takes a s8, -128 to 127", id="too large for a signed one"),
        pytest.param(S8, -129, "limit takes a s8, -128 to 127", id="too small"),
        pytest.param(U64, 1 << 100_000, "0 to 18446744073709551615", id="a number of 30,000 digits"),
        pytest.param(U32, 1.0, "limit takes a u32", id="a number with a fraction"),
        pytest.param(U32, "1", "limit takes a u32", id="text for a number"),
        pytest.param(U32, None, "limit takes a u32", id="nothing"),
        pytest.param(BOOL, 2, "limit takes a bool, 0 to 1", id="two for a bool"),
        pytest.param(BOOL, "true", "limit takes a bool", id="text for a bool"),
        pytest.param(MODE, "BUZY", "limit takes one of IDLE, BUSY, or a number, not 'BUZY'", id="no such name"),
        pytest.param(MODE, 1 << 32, "limit takes a enum mode, 0 to 4294967295", id="too large for an enum"),
        pytest.param(TEXT, "abcdefgh", "at most 7 bytes", id="text without room for its NUL"),
        pytest.param(TEXT, "éééé", "at most 7 bytes", id="text whose bytes are too many"),
        pytest.param(TEXT, "a\0b", "without NUL", id="text with a NUL"),
        pytest.param(TEXT, "\ud800", "half a character", id="text that is none"),
        pytest.param(TEXT, 5, "takes text", id="a number for text"),
        pytest.param(POINT, b"\1", "struct point, which takes 4 bytes", id="too few bytes for a struct"),
        pytest.param(POINT, 1, "struct point, which takes 4 bytes", id="a number for a struct"),
    ],
)
def test_a_value_of_another_type_or_range_is_refused(type_: Type, value, message: str) -> None:
    option = variable(type_, data=b"\1" * type_.size)

    with pytest.raises(UsageError) as raised:
        option.value = value

    assert message in str(raised.value)
    assert option.data == b"\1" * type_.size


@pytest.mark.parametrize(
    ("type_", "name", "text", "value"),
    [
        pytest.param(U32, "limit", "10", 10, id="decimal"),
        pytest.param(U32, "limit", "+10", 10, id="with a sign"),
        pytest.param(U32, "limit", "0", 0, id="zero"),
        pytest.param(U32, "limit", "0xFf", 255, id="hexadecimal"),
        pytest.param(U32, "limit", "0o17", 15, id="octal"),
        pytest.param(U32, "limit", "0b101", 5, id="binary"),
        pytest.param(S32, "limit", "-1", -1, id="negative"),
        pytest.param(S32, "limit", "-0x10", -16, id="negative, hexadecimal"),
        pytest.param(U128, "limit", f"0b{'1' * 128}", 2**128 - 1, id="the longest number"),
        pytest.param(BOOL, "limit", "true", True, id="true"),
        pytest.param(BOOL, "limit", "Yes", True, id="yes"),
        pytest.param(BOOL, "limit", "ON", True, id="on"),
        pytest.param(BOOL, "limit", "1", True, id="1"),
        pytest.param(BOOL, "limit", "false", False, id="false"),
        pytest.param(BOOL, "limit", "no", False, id="no"),
        pytest.param(BOOL, "limit", "off", False, id="off"),
        pytest.param(BOOL, "limit", "0", False, id="0"),
        pytest.param(BOOL, "targ_ms", "on", True, id="a bool with the name of a time"),
        pytest.param(MODE, "limit", "BUSY", 1, id="an enum by name"),
        pytest.param(MODE, "limit", "1", 1, id="an enum by number"),
        pytest.param(LEVEL, "limit", "-1", -1, id="a negative enum by number"),
        pytest.param(TEXT, "limit", "12", "12", id="text of digits"),
        pytest.param(TEXT, "limit", "", "", id="no text"),
        pytest.param(U64, "min_ns", "10ms", 10_000_000, id="ms to ns"),
        pytest.param(U64, "min_us", "10ms", 10_000, id="ms to us"),
        pytest.param(U64, "min_ms", "2s", 2_000, id="s to ms"),
        pytest.param(U64, "min_ms", "2m", 120_000, id="minutes to ms"),
        pytest.param(U64, "min_ms", "1h", 3_600_000, id="hours to ms"),
        pytest.param(U64, "min_us", "1.5ms", 1_500, id="a fraction"),
        pytest.param(U64, "min_us", "3000ns", 3, id="ns to us, without rest"),
        pytest.param(U64, "min_ns", "9007199254740993ns", 9_007_199_254_740_993, id="more digits than a float has"),
        pytest.param(U64, "min_ns", "10", 10, id="a time in its own unit"),
    ],
)
def test_parse_reads_text(type_: Type, name: str, text: str, value: object) -> None:
    option = variable(type_, name)

    option.parse(text)

    assert option.value == value


@pytest.mark.parametrize(
    ("type_", "name", "text", "message"),
    [
        pytest.param(U32, "limit", "", "takes a number (u32), not ''", id="nothing"),
        pytest.param(U32, "limit", "ten", "takes a number (u32), not 'ten'", id="a word"),
        pytest.param(U32, "limit", "010", "takes a number (u32), not '010'", id="a zero in front, octal to C only"),
        pytest.param(U32, "limit", "1_000", "takes a number (u32)", id="digits as Python groups them"),
        pytest.param(U32, "limit", " 1", "takes a number (u32)", id="a blank in front"),
        pytest.param(U32, "limit", "1\n", "takes a number (u32)", id="a newline behind"),
        pytest.param(U32, "limit", "\u0661", "takes a number (u32)", id="a digit of another script"),
        pytest.param(U32, "limit", "1.5", "takes a number (u32)", id="a fraction"),
        pytest.param(U32, "limit", "9" * 5000, "takes a number (u32)", id="5000 digits"),
        pytest.param(U32, "limit", "0x" + "f" * 100, "0 to 4294967295", id="100 hexadecimal digits"),
        pytest.param(U32, "limit", "-1", "0 to 4294967295", id="negative for an unsigned one"),
        pytest.param(U32, "limit", "4294967296", "0 to 4294967295", id="too large"),
        pytest.param(U32, "limit", "10ms", "takes a number (u32)", id="a time for what is none"),
        pytest.param(BOOL, "limit", "2", "takes true or false, not '2'", id="two for a bool"),
        pytest.param(BOOL, "limit", "", "takes true or false", id="nothing for a bool"),
        pytest.param(MODE, "limit", "bus", "takes one of IDLE, BUSY, or a number", id="half a name"),
        pytest.param(TEXT, "limit", "abcdefgh", "at most 7 bytes", id="text that is too long"),
        pytest.param(U64, "min_ns", "10 ms", "a number or a duration such as 10ms", id="a time with a blank"),
        pytest.param(U64, "min_ns", "-1ms", "a number or a duration such as 10ms", id="a negative time"),
        pytest.param(U64, "min_ns", "1.ms", "a number or a duration such as 10ms", id="half a fraction"),
        pytest.param(U64, "min_ns", "9" * 5000 + "s", "a number or a duration such as 10ms", id="5000 digits of time"),
        pytest.param(U64, "min_ms", "10us", "counts whole ms, and 10us is none", id="a time that would round to 0"),
        pytest.param(U32, "min_ns", "5s", "0 to 4294967295", id="a time that is too long"),
        pytest.param(POINT, "limit", "1", "cannot be given as text", id="struct"),
    ],
)
def test_parse_refuses_text_and_says_what_it_takes(type_: Type, name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        variable(type_, name).parse(text)

    assert message in str(raised.value)


@given(
    st.sampled_from([U8, S8, U32, S32, U64, U128, BOOL, MODE, LEVEL, TEXT, POINT, DOUBLE, FLOAT, BE16, BE32, IN6]),
    st.text() | st.from_regex(r"[0-9a-f.:e+-]{1,20}", fullmatch=True),
)
def test_parse_raises_nothing_but_usage_errors(type_: Type, text: str) -> None:
    option = variable(type_, "min_ns")
    try:
        option.parse(text)
    except UsageError:
        assert option.data == bytes(type_.size)
    assert len(option.data) == type_.size


@given(st.sampled_from([U8, S8, U32, S32, U64, U128]), st.integers())
def test_a_number_is_taken_exactly_if_its_type_can_hold_it(type_: Type, number: int) -> None:
    low = -(1 << type_.size * 8 - 1) if type_.signed else 0
    high = low + (1 << type_.size * 8) - 1
    option = variable(type_)
    if low <= number <= high:
        option.parse(str(number))
        assert option.value == number
    else:
        with pytest.raises(UsageError):
            option.parse(str(number))


@pytest.mark.parametrize(
    ("type_", "name", "expected"),
    [
        pytest.param(U32, "limit", True, id="number"),
        pytest.param(TEXT, "limit", True, id="text"),
        pytest.param(U32, "skep_scoped", False, id="skep's own"),
        pytest.param(POINT, "limit", False, id="struct"),
        pytest.param(OCTETS, "limit", False, id="array"),
        pytest.param(OCTETS, "daddr", True, id="array that is an address"),
        pytest.param(IN6, "limit", True, id="struct that is an address"),
        pytest.param(DOUBLE, "limit", True, id="float"),
        pytest.param(LONG_DOUBLE, "limit", False, id="float that Python has not"),
    ],
)
def test_is_option(type_: Type, name: str, *, expected: bool) -> None:
    assert variable(type_, name).is_option is expected


@pytest.mark.parametrize(
    ("type_", "name", "note", "text", "data", "value"),
    [
        pytest.param(U32, "saddr", "", "10.0.0.1", b"\x0a\0\0\1", "10.0.0.1", id="IPv4 by name"),
        pytest.param(BE32, "limit", "", "10.0.0.1", b"\x0a\0\0\1", "10.0.0.1", id="IPv4 by type"),
        pytest.param(U32, "who", "@format ipv4", "10.0.0.1", b"\x0a\0\0\1", "10.0.0.1", id="IPv4 by annotation"),
        pytest.param(U32, "daddr", "", "0", b"\0\0\0\0", "0.0.0.0", id="the number that C has for it"),
        pytest.param(OCTETS, "daddr", "", "::1", bytes(15) + b"\1", "::1", id="IPv6 by name"),
        pytest.param(IN6, "who", "", "::1", bytes(15) + b"\1", "::1", id="IPv6 by type"),
        pytest.param(OCTETS, "who", "@format ip", "10.0.0.1", b"\x0a\0\0\1" + bytes(12), "10.0.0.1", id="either"),
        pytest.param(OCTETS, "who", "@format ip", "::1", bytes(15) + b"\1", "::1", id="either, IPv6"),
        pytest.param(BE16, "dport", "", "443", b"\x01\xbb", 443, id="port by type"),
        pytest.param(Type("int", 2, "u16"), "p", "@format port_be", "443", b"\x01\xbb", 443, id="port by annotation"),
        pytest.param(
            U64, "span", "@format duration_us", "2ms", b"\xd0\x07" + bytes(6), 2000, id="duration by annotation"
        ),
        pytest.param(
            U64, "x_ns", "@format duration_us", "2ms", b"\xd0\x07" + bytes(6), 2000, id="annotation over name"
        ),
        pytest.param(U32, "saddr", "@format bytes", "7", b"\7\0\0\0", 7, id="annotation: no address"),
        pytest.param(CHAR, "limit", "", "-1", b"\xff", -1, id="a char is a number"),
        pytest.param(WIDE, "limit", "", "HUGE", b"\0\0\0\0\0\1\0\0", 1 << 40, id="an enum of 64 bits"),
        pytest.param(DOUBLE, "limit", "", "-2.5e-1", b"\0\0\0\0\0\0\xd0\xbf", -0.25, id="double"),
        pytest.param(FLOAT, "limit", "", ".5", b"\0\0\0\x3f", 0.5, id="float"),
    ],
)
def test_meanings_decide_how_a_value_is_written(type_, name, note, text, data, value) -> None:
    option = variable(type_, name, note=note)
    option.parse(text)

    assert (option.data, option.value) == (data, value)
    option.data = bytes(type_.size)
    option.value = value
    assert option.data == data


@pytest.mark.parametrize(
    ("type_", "name", "note", "text", "message"),
    [
        pytest.param(U32, "saddr", "", "10.0.0", "takes an IPv4 address, not '10.0.0'", id="half an address"),
        pytest.param(U32, "saddr", "", "::1", "takes an IPv4 address", id="IPv6 for IPv4"),
        pytest.param(IN6, "saddr", "", "10.0.0.1", "takes an IPv6 address", id="IPv4 for IPv6"),
        pytest.param(OCTETS, "a", "@format ip", "a\0b", "takes an IPv4 or IPv6 address", id="a NUL"),
        pytest.param(U32, "saddr", "", "\u0661.0.0.1", "takes an IPv4 address", id="a digit of another script"),
        pytest.param(BE16, "dport", "", "65536", "0 to 65535", id="no port"),
        pytest.param(BE16, "dport", "", "http", "takes a number", id="the name of a port"),
        pytest.param(DOUBLE, "limit", "", "nan", "takes a number (double)", id="no number"),
        pytest.param(DOUBLE, "limit", "", "1e999", "a finite number", id="infinite"),
        pytest.param(FLOAT, "limit", "", "1e39", "takes a float, not 1e+39", id="too large for a float"),
        pytest.param(DOUBLE, "limit", "", "1_0", "takes a number (double)", id="digits as Python groups them"),
        pytest.param(DOUBLE, "limit", "", "", "takes a number (double)", id="nothing for a float"),
        pytest.param(LONG_DOUBLE, "limit", "", "1", "cannot be given as text", id="a long double"),
        pytest.param(U64, "min_latency", "", "10ms", "takes a number (u64)", id="a span of time of unknown unit"),
        pytest.param(Type("enum", 8, "enum wide", enum={}), "limit", "", "HUGE", "takes a number, not", id="no names"),
    ],
)
def test_meanings_refuse(type_: Type, name: str, note: str, text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        variable(type_, name, note=note).parse(text)

    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        pytest.param(DOUBLE, "1", id="text for a float"),
        pytest.param(DOUBLE, None, id="nothing for a float"),
        pytest.param(IN6, 1, id="a number for an address that is none"),
        pytest.param(IN6, b"\1", id="too few bytes of an address"),
    ],
)
def test_python_values_of_another_type_are_refused(type_: Type, value: object) -> None:
    with pytest.raises(UsageError):
        variable(type_).value = value


@given(st.integers(0, 2**32 - 1))
def test_an_address_comes_back_as_it_was_given(number: int) -> None:
    text = ".".join(str(octet) for octet in number.to_bytes(4, "big"))
    option = variable(U32, "saddr")
    option.parse(text)

    assert option.value == text


@pytest.mark.parametrize(
    ("type_", "data", "default", "value"),
    [
        pytest.param(U32, None, "5", 5, id="number"),
        pytest.param(U32, b"\7\0\0\0", "5", 7, id="the object's own goes first"),
        pytest.param(BOOL, None, "true", True, id="boolean"),
        pytest.param(TEXT, None, '"bash"', "bash", id="text"),
        pytest.param(MODE, None, '"BUSY"', 1, id="enum"),
        pytest.param(DOUBLE, None, "0.5", 0.5, id="float"),
        pytest.param(U32, None, "null", 0, id="none"),
    ],
)
def test_the_default_of_a_cmdarg(type_: Type, data: bytes | None, default: str, value: object) -> None:
    assert variable(type_, data=data, note=f'@cmdarg {{"default": {default}}}').value == value


def test_a_default_that_does_not_fit_is_the_files_fault() -> None:
    with pytest.raises(ProgramError) as raised:
        variable(U8, note='@cmdarg {"default": 256}')

    assert "0 to 255" in str(raised.value)


def test_a_cmdarg_names_options_and_their_help() -> None:
    option = variable(U32, note="A text. @cmdarg")
    assert (option.long, option.short) == ("", "")

    option = variable(U32, note='A text.\n@cmdarg {"long": "least-of", "short": "l", "help": "Only those."}')
    assert (option.long, option.short, option.help) == ("--least-of", "-l", "Only those.")


@pytest.mark.parametrize(
    "cmdarg", ['{"long": "-x"}', '{"long": ""}', '{"long": 5}', '{"long": "a b"}', '{"long": "a=b"}']
)
def test_an_option_that_cannot_be_one_is_the_files_fault(cmdarg: str) -> None:
    with pytest.raises(ProgramError):
        _ = variable(U32, note=f"@cmdarg {cmdarg}").long


@pytest.mark.parametrize(
    "cmdarg", ['{"short": "ll"}', '{"short": ""}', '{"short": 5}', '{"short": "-"}', '{"short": "1"}']
)
def test_a_short_option_that_cannot_be_one_is_the_files_fault(cmdarg: str) -> None:
    with pytest.raises(ProgramError):
        _ = variable(U32, note=f"@cmdarg {cmdarg}").short


def test_the_name_of_an_enum_in_the_other_case_is_told() -> None:
    with pytest.raises(UsageError, match="takes one of IDLE, BUSY, or a number, not 'busy'") as raised:
        variable(MODE).parse("busy")

    assert raised.value.remedy == "Did you mean BUSY?"


NUMBERS = Type("array", 16, "s32[4]", element=S32, count=4)
UNSET = b"\xff" * 16


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("5", [5, -1, -1, -1], id="one"),
        pytest.param("1,0x10", [1, 16, -1, -1], id="two"),
        pytest.param("1,2,3,4", [1, 2, 3, 4], id="all"),
    ],
)
def test_an_array_takes_numbers_and_keeps_the_rest(text: str, value: list[int]) -> None:
    numbers = variable(NUMBERS, data=UNSET, note="Which.")
    numbers.parse("9,9,9")
    numbers.parse(text)

    assert numbers.is_option
    assert numbers.value == value
    assert numbers.data[:4] == value[0].to_bytes(4, "little")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("1,2,3,4,5", "limit takes at most 4 of them", id="too many"),
        pytest.param("1,", r"limit takes a number \(int\), not ''", id="none behind the comma"),
        pytest.param("one", r"limit takes a number \(int\), not 'one'", id="a word"),
    ],
)
def test_an_array_refuses_what_it_does_not_take(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        variable(NUMBERS, note="Which.").parse(text)


def test_an_array_of_which_nothing_is_said_is_no_option() -> None:
    assert not variable(NUMBERS).is_option


def test_system_calls_are_given_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.uname", lambda: type("uname", (), {"machine": "x86_64"}))
    calls = variable(NUMBERS, data=UNSET, note="@format syscall")
    calls.parse("openat,3,close_range")

    assert calls.value == [257, 3, 436, -1]
    with pytest.raises(UsageError, match=r"limit takes a system call, by name or number, not 'opeat'") as caught:
        calls.parse("opeat")
    assert caught.value.remedy == "Did you mean openat?"


def test_a_signal_is_given_by_name() -> None:
    signal = variable(U32, note="@format signal")

    for text, number in (("SIGTERM", 15), ("9", 9), ("SIGRTMIN+1", 35)):
        signal.parse(text)
        assert signal.value == number
    with pytest.raises(UsageError, match=r"limit takes a signal, by name or number, not 'SIGTREM'") as caught:
        signal.parse("SIGTREM")
    assert caught.value.remedy == "Did you mean SIGTERM?"


def test_what_is_required_is_missing_until_it_is_set() -> None:
    target = variable(U32, note="@required")

    assert target.is_missing
    assert not variable(U32).is_missing
    target.parse("7")
    assert not target.is_missing
