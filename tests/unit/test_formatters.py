import socket
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.meaning import MEANINGS
from skep.stream.names import Names
from skep.view.formatters import AF_INET, AF_INET6, CLOCKS, FORMATTERS, escape, format_enum, format_ip

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NAMES = Names(
    monotonic=1_000_000 * SECOND,  # 13:46:40 UTC
    boot=1_000_001 * SECOND,
    tai=-37 * SECOND,
    utc_offset=3600,
    users={0: "root", 1000: "mira", 1001: "e\x1b[2Jvil"},
    groups={0: "wheel"},
    cgroups={7: "/system.slice/a\x1b.service"},
    namespaces={0xEFFFFFFC: "host"},
    devices={8 << 20 | 1: "sda1"},
)


def write(meaning: str, value: object, names: Names = NAMES) -> str:
    return FORMATTERS[meaning](value, names)


def test_every_meaning_has_a_formatter_and_every_formatter_a_meaning() -> None:
    assert set(FORMATTERS) == set(MEANINGS)


def test_every_moment_has_a_clock() -> None:
    assert set(CLOCKS) == {word for word, meaning in MEANINGS.items() if meaning.kind == "time"}


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        pytest.param("plain text, with ünïcode 日本", "plain text, with ünïcode 日本", id="printable text as it is"),
        pytest.param("a\nb\tc\rd", r"a\nb\tc\rd", id="newline, tab, carriage return"),
        pytest.param("\x1b[2J\x07\x00\x7f", r"\x1b[2J\x07\x00\x7f", id="terminal escapes, bell, NUL, DEL"),
        pytest.param("\x85\x9b1m", r"\u0085\u009b1m", id="C1 controls"),
        pytest.param("\udcff\udc80", r"\xff\x80", id="bytes that are not UTF-8"),
        pytest.param("gpj.\u202eexe", r"gpj.\u202eexe", id="right-to-left override"),
        pytest.param(
            "\u2066\u200b\u2028\ufeff", r"\u2066\u200b\u2028\ufeff", id="isolate, zero width, line separator, BOM"
        ),
        pytest.param("\U000e0041\ue000", r"\U000e0041\ue000", id="tag characters and private use"),
        pytest.param("\ud800", r"\ud800", id="a surrogate that stands for no byte"),
    ],
)
def test_escape_writes_out_what_a_terminal_may_not_print(text: str, escaped: str) -> None:
    assert escape(text) == escaped


@pytest.mark.parametrize(
    ("meaning", "value", "text"),
    [
        pytest.param("time_monotonic", 123_456_789, "14:46:40.123456", id="a moment since boot in local time"),
        pytest.param("time_boot", 123_456_789, "14:46:41.123456", id="a moment on the clock that counts suspension"),
        pytest.param("time_tai", 37 * SECOND + 1, "01:00:00.000000", id="a moment on TAI"),
        pytest.param("time_monotonic", 0, "-", id="a moment that was never set"),
        pytest.param("time_boot", 2**64 - 1, "14:21:14.709551", id="the last moment that a u64 holds"),
        pytest.param("duration_ns", 0, "0 ns", id="no time at all"),
        pytest.param("duration_ns", 999, "999 ns", id="nanoseconds"),
        pytest.param("duration_ns", 1000, "1.000 us", id="the first microsecond"),
        pytest.param("duration_ns", 1_234_567, "1.235 ms", id="milliseconds, rounded"),
        pytest.param("duration_ns", 999_999_499, "999.999 ms", id="the last that is milliseconds"),
        pytest.param("duration_ns", 999_999_500, "1.000 s", id="the first that rounds to a second"),
        pytest.param("duration_ns", 90 * SECOND, "1.500 min", id="minutes"),
        pytest.param("duration_ns", 36 * HOUR, "1.500 d", id="days"),
        pytest.param("duration_ns", -1_500_000, "-1.500 ms", id="time that runs backwards"),
        pytest.param("duration_us", 5, "5 us", id="microseconds without decimals that nobody measured"),
        pytest.param("duration_us", 1500, "1.500 ms", id="microseconds that make milliseconds"),
        pytest.param("duration_ms", 999, "999 ms", id="milliseconds without decimals"),
        pytest.param("duration_ms", 2 * 3_600_000, "2.000 h", id="milliseconds that make hours"),
        pytest.param("pid", 4194304, "4194304", id="a process"),
        pytest.param("tid", 1, "1", id="a thread"),
        pytest.param("ppid", 0, "0", id="no parent"),
        pytest.param("uid", 0, "root", id="a user with a name"),
        pytest.param("uid", 4294967295, "4294967295", id="a user without a name"),
        pytest.param("uid", 1001, r"e\x1b[2Jvil", id="a user whose name is an attack"),
        pytest.param("gid", 0, "wheel", id="a group with a name"),
        pytest.param("gid", 7, "7", id="a group without a name"),
        pytest.param("comm", "bash\x1b", r"bash\x1b", id="a task's name"),
        pytest.param("text", (104, 105, 0, 106), "hi", id="text as an array of numbers"),
        pytest.param("text", b"hi\xff\0x", r"hi\xff", id="text as bytes"),
        pytest.param("text", (-1, 65), r"\xffA", id="text as signed numbers"),
        pytest.param("result", -2, "ENOENT", id="a failure"),
        pytest.param("result", 2, "2", id="a value"),
        pytest.param("result", 0, "0", id="success"),
        pytest.param("result", -524, "ENOTSUPP", id="a failure that only the kernel knows"),
        pytest.param("result", -4095, "-4095", id="a failure without a name"),
        pytest.param("result", -(2**31), "-2147483648", id="a negative value that is no error"),
        pytest.param("result", 2**32 - 2, "ENOENT", id="a failure in an unsigned field of 32 bits"),
        pytest.param("result", 2**64 - 2, "ENOENT", id="a failure in an unsigned field of 64 bits"),
        pytest.param("result", 2**63, "9223372036854775808", id="a value with the highest bit"),
        pytest.param("errno", 0, "0", id="no error"),
        pytest.param("errno", 2, "ENOENT", id="an error number"),
        pytest.param("errno", -13, "EACCES", id="an error number with a sign"),
        pytest.param("errno", 2**32 - 1, "EPERM", id="an error number that lost its sign"),
        pytest.param("errno", 9999, "9999", id="an unknown error number"),
        pytest.param("signal", 9, "SIGKILL", id="a signal"),
        pytest.param("signal", 34, "SIGRTMIN", id="a real-time signal"),
        pytest.param("signal", 0, "0", id="no signal"),
        pytest.param("signal", 65, "65", id="an unknown signal"),
        pytest.param("exit_code", 0, "0", id="a process that succeeded"),
        pytest.param("exit_code", 3 << 8, "3", id="a process that failed"),
        pytest.param("exit_code", 255 << 8, "255", id="a process that failed with -1"),
        pytest.param("exit_code", 9, "SIGKILL", id="a process that was killed"),
        pytest.param("exit_code", 11 | 0x80, "SIGSEGV (core)", id="a process that dumped core"),
        pytest.param("exit_code", 0x80, "128", id="a core of no signal"),
        pytest.param("exit_code", 3 << 8 | 9, "777", id="a status and a signal, which wait never gives"),
        pytest.param("exit_code", 1 << 16, "65536", id="more than wait gives"),
        pytest.param("exit_code", -256, "-256", id="less than wait gives"),
        pytest.param("syscall", 257, "openat", id="a system call"),
        pytest.param("syscall", -1, "-1", id="no system call"),
        pytest.param("compat", 1, "32-bit", id="a 32-bit program"),
        pytest.param("compat", False, "64-bit", id="any other"),
        pytest.param("namespace", 0xEFFFFFFC, "host", id="a namespace that has a name"),
        pytest.param("namespace", 4026532281, "4026532281", id="a namespace that has none"),
        pytest.param("mode", 0o100644, "-rw-r--r--", id="a file's mode"),
        pytest.param("mode", 0o120777, "lrwxrwxrwx", id="a symbolic link's"),
        pytest.param("device", 8 << 20 | 1, "sda1", id="a disk by its name"),
        pytest.param("device", 259 << 20 | 3, "259:3", id="a disk that has none"),
        pytest.param("cgroup", 7, "/system.slice/a\\x1b.service", id="a cgroup by its path"),
        pytest.param("cgroup", 2**64 - 1, str(2**64 - 1), id="a cgroup that is gone"),
        pytest.param("protocol", 6, "IPPROTO_TCP", id="TCP"),
        pytest.param("protocol", 253, "253", id="a protocol of nobody's"),
        pytest.param("tcp_state", 1, "TCP_ESTABLISHED", id="a connection"),
        pytest.param("tcp_state", 10, "TCP_LISTEN", id="one that is waited for"),
        pytest.param("tcp_state", 99, "99", id="a state that there is not"),
        pytest.param("mac", (2, 0, 0, 0xFF, 0, 1), "02:00:00:ff:00:01", id="an address of Ethernet"),
        pytest.param("mac", b"\x02\x00\x00\x00\x00\x01", "02:00:00:00:00:01", id="the same as bytes"),
        pytest.param("open_flags", 0, "O_RDONLY", id="to read"),
        pytest.param("open_flags", 0o2000101, "O_WRONLY|O_CREAT|O_CLOEXEC", id="to write, create, and close on exec"),
        pytest.param("open_flags", 0o20200002, "O_RDWR|O_TMPFILE", id="a file without a name"),
        pytest.param("open_flags", 0o4010000, "O_RDONLY|O_SYNC", id="synchronous"),
        pytest.param("open_flags", 0o10000, "O_RDONLY|O_DSYNC", id="synchronous for data only"),
        pytest.param("open_flags", 3 | 1 << 30, "O_ACCMODE|0x40000000", id="bits without a name"),
        pytest.param("open_flags", -(2**31), "O_RDONLY|0x80000000", id="the highest bit in a signed field"),
        pytest.param("family", 2, "AF_INET", id="a family"),
        pytest.param("family", 99, "99", id="an unknown family"),
        pytest.param("ipv4", int.from_bytes(b"\x7f\0\0\1", "little"), "127.0.0.1", id="IPv4 as a number"),
        pytest.param("ipv4", (10, 0, 0, 7), "10.0.0.7", id="IPv4 as four numbers"),
        pytest.param("ipv4", b"\xff\xff\xff\xff", "255.255.255.255", id="IPv4 as bytes"),
        pytest.param("ipv4", -1, "255.255.255.255", id="IPv4 as a signed number"),
        pytest.param("ipv6", b"\x20\x01\x0d\xb8" + bytes(11) + b"\1", "2001:db8::1", id="IPv6 as bytes"),
        pytest.param("ipv6", (*bytes(15), 1), "::1", id="IPv6 as sixteen numbers"),
        pytest.param("ipv6", (0, 0, 0, 1 << 24), "::1", id="IPv6 as four words"),
        pytest.param("ipv6", (0, 1 << 56), "::1", id="IPv6 as two numbers"),
        pytest.param("ipv6", 1 << 120, "::1", id="IPv6 as one number"),
        pytest.param("ipv6", bytes(10) + b"\xff\xff\x7f\0\0\1", "::ffff:127.0.0.1", id="IPv4 mapped to IPv6"),
        pytest.param("ip", b"\x7f\0\0\1" + bytes(12), "127.0.0.1", id="IPv4, told by the zeros"),
        pytest.param(
            "ip", int.from_bytes(b"\x7f\0\0\1", "little"), "127.0.0.1", id="IPv4, told by the zeros of a number"
        ),
        pytest.param("ip", bytes(15) + b"\1", "::1", id="IPv6, told by what is no zero"),
        pytest.param("port", 443, "443", id="a port"),
        pytest.param("port_be", 0xBB01, "443", id="a port in network byte order"),
        pytest.param("port_be", -1, "65535", id="a port in a signed field"),
        pytest.param("bytes", 0, "0 B", id="nothing"),
        pytest.param("bytes", 1023, "1023 B", id="bytes"),
        pytest.param("bytes", 1536, "1.5 KiB", id="kibibytes"),
        pytest.param("bytes", 2**20 - 1, "1.0 MiB", id="what rounds up to a mebibyte"),
        pytest.param("bytes", 5 * 2**30, "5.0 GiB", id="gibibytes"),
        pytest.param("bytes", 2**64 - 1, "16.0 EiB", id="as much as fits"),
        pytest.param("bytes", -2048, "-2.0 KiB", id="less than nothing"),
        pytest.param("pointer", 0xFFFF_8880_0000_1000, "0xffff888000001000", id="an address in the kernel"),
        pytest.param("pointer", 0, "0x0", id="NULL"),
        pytest.param("pointer", -4096, "0xfffffffffffff000", id="an address in a signed field"),
    ],
)
def test_a_formatter_writes(meaning: str, value: object, text: str) -> None:
    assert write(meaning, value) == text


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        pytest.param(0, "00:00:01.000000", id="Greenwich"),
        pytest.param(19800, "05:30:01.000000", id="India, half an hour off"),
        pytest.param(-18000, "19:00:01.000000", id="New York, the day before"),
    ],
)
def test_a_moment_is_written_in_local_time(offset: int, text: str) -> None:
    assert write("time_monotonic", SECOND, Names(utc_offset=offset)) == text


@pytest.mark.parametrize(
    ("architecture", "call", "flags"),
    [
        ("x86_64", "execve", "O_RDONLY|O_DIRECTORY"),
        ("i386", "oldolduname", "O_RDONLY|O_DIRECTORY"),
        ("aarch64", "pipe2", "O_RDONLY|O_DIRECT"),
        ("vax", "59", "O_RDONLY|0x10000"),
    ],
)
def test_numbers_that_differ_between_architectures(architecture: str, call: str, flags: str) -> None:
    names = Names(architecture=architecture)

    assert write("syscall", 59, names) == call
    assert write("open_flags", 0o200000, names) == flags


@pytest.mark.parametrize(
    ("family", "text"),
    [
        pytest.param(AF_INET, "32.1.13.184", id="IPv4 whatever follows"),
        pytest.param(AF_INET6, "2001:db8::1", id="IPv6"),
        pytest.param(0, "2001:db8::1", id="unknown, so that zeros tell"),
    ],
)
def test_the_family_tells_which_address_it_is(family: int, text: str) -> None:
    assert format_ip(b"\x20\x01\x0d\xb8" + bytes(11) + b"\1", family) == text


def test_an_ipv6_address_of_zeros_is_told_by_its_family() -> None:
    assert format_ip(bytes(16), AF_INET6) == "::"
    assert format_ip(bytes(16)) == "0.0.0.0"


@given(st.binary(min_size=16, max_size=16))
def test_ipv6_agrees_with_socket(octets: bytes) -> None:
    expected = socket.inet_ntop(socket.AF_INET6, octets)

    assert write("ipv6", octets) == write("ipv6", tuple(octets)) == expected
    assert write("ipv6", int.from_bytes(octets, "little")) == expected


def acts_on_a_terminal(text: str) -> bool:
    return any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for character in text)


NUMBERS = [word for word, meaning in MEANINGS.items() if meaning.kind != "text"]


@given(st.sampled_from(NUMBERS), st.integers(-(2**127), 2**128))
def test_no_number_makes_a_formatter_fail(meaning: str, value: int) -> None:
    text = write(meaning, value)

    assert text
    assert not acts_on_a_terminal(text)


@given(st.sampled_from(["comm", "text"]), st.binary())
def test_no_bytes_reach_the_terminal_as_controls(meaning: str, raw: bytes) -> None:
    text = raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")

    assert write(meaning, text) == write(meaning, raw) == write(meaning, tuple(raw))
    assert not acts_on_a_terminal(write(meaning, text))


@given(st.sampled_from(["ipv4", "ipv6", "ip"]), st.binary() | st.lists(st.integers(-(2**63), 2**64)).map(tuple))
def test_no_bytes_make_an_address_fail(meaning: str, value: bytes | tuple[int, ...]) -> None:
    assert write(meaning, value).strip("0123456789abcdef.:") == ""


@given(st.text(st.characters(codec=None)))
def test_escape_leaves_nothing_that_acts_on_a_terminal(text: str) -> None:
    assert not acts_on_a_terminal(escape(text))
    escape(text).encode("utf-8")


def test_writing_addresses_of_ipv4_does_not_load_socket() -> None:
    import subprocess
    import sys

    code = "import sys; from skep.view.formatters import format_ip; format_ip(5); print('socket' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("value", "known", "text"),
    [
        pytest.param(5, {1: "A", 2: "B", 4: "C"}, "A|C", id="two flags"),
        pytest.param(9, {1: "A", 2: "B", 4: "C"}, None, id="a flag that has no name"),
        pytest.param(3, {0: "NONE", 1: "A", 2: "B"}, None, id="what may be counted"),
        pytest.param(5, {1: "A", 2: "B", 4: "C", 7: "ALL"}, None, id="what is no set of flags"),
        pytest.param(7, {1: "A", 2: "B", 4: "C", 7: "ALL"}, "ALL", id="a name of its own"),
        pytest.param(-1, {-1: "NONE", 4: "A"}, "NONE", id="a negative one"),
        pytest.param(3, {}, None, id="no names"),
    ],
)
def test_a_set_of_flags_has_the_names_of_all(value: int, known: dict[int, str], text: str | None) -> None:
    assert format_enum(value, known) == text
