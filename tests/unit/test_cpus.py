"""What the kernel announces of CPUs: whatever comes is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.stream.cpus import Arrivals, arrived

ONLINE = b"online@/devices/system/cpu/cpu"


@given(st.integers(0, 999_999_999), st.binary())
def test_a_cpu_that_comes_is_told(cpu: int, rest: bytes) -> None:
    assert arrived(ONLINE + b"%d\0" % cpu + rest) == cpu


@given(st.binary())
def test_whatever_comes_is_no_failure(data: bytes) -> None:
    assert arrived(data) is None
    # Only what is a number and ends after it is one.
    digits = data.partition(b"\0")[0]
    named = arrived(ONLINE + data)
    assert named is None or (named == int(digits) and b"\0" in data)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"online@",
        ONLINE + b"1",
        ONLINE + b"\0",
        ONLINE + b"-1\0",
        ONLINE + b"1/cache\0",
        ONLINE + b"9" * 5000 + b"\0",
        b"offline@/devices/system/cpu/cpu1\0",
        b"libudev\0" + ONLINE + b"1\0",
    ],
)
def test_what_is_not_such_an_announcement_is_passed_over(message: bytes) -> None:
    assert arrived(message) is None


def test_where_none_comes_none_is_told() -> None:
    arrivals = Arrivals()
    try:
        assert arrivals.cpus() == []
        assert not arrivals.missed
    finally:
        arrivals.close()
