"""What is said to rtnetlink, byte for byte, and what it answers."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.kernel.netlink import ACK, Netlink, attribute, attributes

# A request to delete a link, by a number that no interface has.
_DELETE_LINK, _NO_LINK = 17, b"\0\0\0\0\xff\xff\xff\x7f\0\0\0\0\0\0\0\0"
_KINDS = st.integers(0, 0x3FFF)


@given(st.dictionaries(_KINDS, st.binary(max_size=40)))
def test_attributes_are_read_as_they_were_written(given: dict[int, bytes]) -> None:
    written = b"".join(attribute(kind, content) for kind, content in given.items())

    assert len(written) % 4 == 0
    assert attributes(written) == given


@given(_KINDS, _KINDS, st.binary(max_size=40))
def test_attributes_hold_others(outer: int, inner: int, content: bytes) -> None:
    written = attribute(outer | 0x8000, attribute(inner, content))

    assert attributes(attributes(written)[outer]) == {inner: content}


@given(st.binary())
def test_whatever_comes_is_taken_apart(data: bytes) -> None:
    assert sum(len(content) + 4 for content in attributes(data).values()) <= len(data)


def test_a_refusal_is_an_error_of_the_kernel() -> None:
    netlink = Netlink()
    try:
        with pytest.raises(OSError) as caught:
            netlink.ask(_DELETE_LINK, ACK, _NO_LINK)
    finally:
        netlink.close()

    assert caught.value.errno in {errno.ENODEV, errno.EPERM}


def test_a_port_is_taken_as_long_as_its_socket_lives() -> None:
    netlink = Netlink()
    port = netlink.port
    assert Netlink.is_taken(port)

    netlink.close()
    assert not Netlink.is_taken(port)
