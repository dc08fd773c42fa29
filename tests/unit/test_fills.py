"""What maps are filled with: text and Python values by the types of keys and values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.errors import UsageError
from skep.base.schema import Field, Type
from skep.spec.fills import entries, read_fill
from skep.spec.objectspec import MapSpec, ObjectSpec

HASH, ARRAY, PROG_ARRAY, CGROUP_ARRAY, LPM_TRIE, QUEUE, RINGBUF = 1, 2, 3, 8, 11, 22, 27
U8 = Type("int", 1, "u8")
U16 = Type("int", 2, "u16")
U32 = Type("int", 4, "u32")
U64 = Type("int", 8, "u64")
BE16 = Type("int", 2, "__be16")
COMM = Type("text", 16, "char[16]", count=16)
STATE = Type("enum", 4, "enum state", enum={0: "IDLE", 1: "BUSY"})
OCTETS = Type("array", 16, "u8[16]", element=U8, count=16)
IN6 = Type("struct", 16, "struct in6_addr", fields=(Field("in6_u", 0, 16, OCTETS),))
FLOW = Type("struct", 8, "struct flow", fields=(Field("a", 0, 4, U32), Field("b", 4, 4, U32)))
PREFIX = Type("struct", 8, "struct prefix", fields=(Field("length", 0, 4, U32), Field("address", 4, 4, U32)))
PREFIX6 = Type("struct", 20, "struct prefix6", fields=(Field("length", 0, 4, U32), Field("address", 4, 16, OCTETS)))


def spec_of(key: Type | None, value: Type | None, kind: int = HASH) -> ObjectSpec:
    return ObjectSpec(
        "made",
        b"",
        programs={},
        maps={"ports": MapSpec("ports", kind, 8, value, key=key), "events": MapSpec("events", RINGBUF, 4096, None)},
        variables={},
        globals={},
        events={},
        formats=(),
        prints=False,
        description="",
    )


def filled(spec: ObjectSpec, *texts: str) -> list[tuple[bytes, bytes, str]]:
    return [(entry.key, entry.value, entry.target) for entry in entries(spec, read_fill(spec, texts))]


@pytest.mark.parametrize(
    ("key", "value", "text", "expected"),
    [
        pytest.param(U16, U32, "80:7", (b"\x50\0", b"\7\0\0\0"), id="numbers"),
        pytest.param(U16, U32, "0x50", (b"\x50\0", b"\1\0\0\0"), id="the default of a number"),
        pytest.param(U16, FLOW, "80", (b"\x50\0", bytes(8)), id="the default of a struct"),
        pytest.param(U16, COMM, "80:bash", (b"\x50\0", b"bash".ljust(16, b"\0")), id="text as the value"),
        pytest.param(COMM, U8, "bash", (b"bash".ljust(16, b"\0"), b"\1"), id="text as the key"),
        pytest.param(COMM, U8, "[a:b]:2", (b"a:b".ljust(16, b"\0"), b"\2"), id="text with a colon"),
        pytest.param(COMM, COMM, "a:b:c", (b"a".ljust(16, b"\0"), b"b:c".ljust(16, b"\0")), id="a value with a colon"),
        pytest.param(STATE, U8, "BUSY", (b"\1\0\0\0", b"\1"), id="an enum"),
        pytest.param(BE16, U8, "443", (b"\x01\xbb", b"\1"), id="a port in network byte order"),
        pytest.param(U32, U8, "10.0.0.1:5", (b"\x0a\0\0\1", b"\5"), id="an IPv4 address for a number"),
        pytest.param(IN6, U8, "[::1]:5", (bytes(15) + b"\1", b"\5"), id="an IPv6 address"),
        pytest.param(OCTETS, U8, "[::1]", (bytes(15) + b"\1", b"\1"), id="an IPv6 address for bytes"),
    ],
)
def test_keys_and_values_from_text(key: Type, value: Type, text: str, expected: tuple[bytes, bytes]) -> None:
    assert filled(spec_of(key, value), f"ports={text}") == [(*expected, "")]


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        pytest.param(PREFIX, "10.0.0.0/8", b"\x08\0\0\0\x0a\0\0\0", id="IPv4"),
        pytest.param(PREFIX, "10.0.0.1", b"\x20\0\0\0\x0a\0\0\1", id="one address"),
        pytest.param(PREFIX, "0.0.0.0/0", bytes(8), id="all"),
        pytest.param(PREFIX6, "[fe80::]/10", None, id="brackets around the address alone"),
        pytest.param(PREFIX6, "[fe80::/10]", b"\x0a\0\0\0\xfe\x80" + bytes(14), id="IPv6"),
        pytest.param(PREFIX, "10.0.0.0/33", None, id="too many bits"),
        pytest.param(PREFIX, "10.0.0.0/", None, id="no bits"),
        pytest.param(PREFIX, "10.0.0.0/-1", None, id="negative"),
        pytest.param(PREFIX, "10.0.0/8", None, id="no address"),
        pytest.param(Type("struct", 12, "struct odd"), "10.0.0.0/8", None, id="another key"),
    ],
)
def test_prefixes(key: Type, text: str, expected: bytes | None) -> None:
    spec = spec_of(key, U8, LPM_TRIE)
    if expected is None:
        with pytest.raises(UsageError):
            filled(spec, f"ports={text}")
    else:
        assert filled(spec, f"ports={text}") == [(expected, b"\1", "")]


def test_arrays_of_programs_and_cgroups_hold_what_is_named() -> None:
    assert filled(spec_of(U32, U32, PROG_ARRAY), "ports=1:handle") == [(b"\1\0\0\0", b"", "handle")]
    assert filled(spec_of(U32, U32, CGROUP_ARRAY), "ports=0:/a:b") == [(b"\0\0\0\0", b"", "/a:b")]
    with pytest.raises(UsageError) as raised:
        filled(spec_of(U32, U32, CGROUP_ARRAY), "ports=/a")
    assert "ports=0:CGROUP" in str(raised.value)


def test_a_queue_has_values_only_and_keeps_equal_ones() -> None:
    assert filled(spec_of(None, U32, QUEUE), "ports=5", "ports=5") == [(b"", b"\5\0\0\0", "")] * 2


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        pytest.param({80: 7}, (b"\x50\0", b"\7" + bytes(7)), id="a mapping"),
        pytest.param([80], (b"\x50\0", b"\1" + bytes(7)), id="keys alone"),
        pytest.param({"80": "7"}, (b"\x50\0", b"\7" + bytes(7)), id="text"),
        pytest.param({b"\1\2": bytes(8)}, (b"\1\2", bytes(8)), id="bytes"),
    ],
)
def test_python_values(fill, expected: tuple[bytes, bytes]) -> None:
    [entry] = entries(spec_of(U16, U64), {"ports": fill})

    assert (entry.map, entry.key, entry.value) == ("ports", *expected)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        pytest.param(["ports"], "it takes MAP=KEY", id="no key"),
        pytest.param(["ports="], "it takes MAP=KEY", id="an empty key"),
        pytest.param(["=1"], "there is no map ", id="no map"),
        pytest.param(["port=1"], "there is no map port", id="another map"),
        pytest.param(["events=1"], "not filled from user space", id="a ring"),
        pytest.param(["ports=[1"], "behind the key in brackets", id="half a bracket"),
        pytest.param(["ports=[1]2"], "behind the key in brackets", id="no colon behind brackets"),
        pytest.param(["ports=x"], "the key of ports takes a number (u16), not 'x'", id="a word"),
        pytest.param(["ports=65536"], "the key of ports takes a u16, 0 to 65535", id="a key out of range"),
        pytest.param(["ports=1:"], "the value of ports takes a number (u64), not ''", id="an empty value"),
        pytest.param(["ports=1:-1"], "the value of ports takes a u64", id="a value out of range"),
        pytest.param(["ports=10.0.0.1"], "takes a number (u16)", id="an address"),
    ],
)
def test_what_does_not_fit_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        filled(spec_of(U16, U64), *texts)

    assert message in str(raised.value)


def test_the_nearest_map_is_named() -> None:
    with pytest.raises(UsageError) as raised:
        filled(spec_of(U16, U64), "prots=1")

    assert raised.value.remedy == "Did you mean ports?"


@pytest.mark.parametrize("fill", [{b"\1": 1}, {1.5: 1}, {None: 1}, {1: b"\1"}])
def test_python_values_that_do_not_fit_are_refused(fill) -> None:
    with pytest.raises(UsageError):
        entries(spec_of(U16, U64), {"ports": fill})


def test_a_key_without_a_type_cannot_be_given() -> None:
    with pytest.raises(UsageError) as raised:
        filled(spec_of(None, U64), "ports=1")

    assert "has no type" in str(raised.value)


@given(
    st.sampled_from([U8, U64, COMM, STATE, BE16, IN6, OCTETS, FLOW, PREFIX]),
    st.sampled_from([HASH, LPM_TRIE]),
    st.text(),
)
def test_text_raises_nothing_but_usage_errors(key: Type, kind: int, text: str) -> None:
    spec = spec_of(key, U8, kind)
    try:
        found = filled(spec, f"ports={text}")
    except UsageError:
        return
    assert [len(key_) for key_, _, _ in found] == [key.size]
