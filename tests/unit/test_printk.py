"""bpf_printk() lines as the kernel writes them to trace_pipe, and whose they are."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.stream.printk import SCHEMA, Lines, _literals, _printed

LINE = b"             cat-1234    [001] d..2.  5678.000009: bpf_trace_printk: "


def _records(formats: list[bytes], lines: bytes):
    return [SCHEMA.decode(record) for record in Lines(formats).feed(lines + b"\n")]


def test_a_line_becomes_a_row():
    (row,) = _records([], LINE + b"hello")

    assert tuple(row) == (5678 * 10**9 + 9000, 1234, 1, "cat", "hello")


@pytest.mark.parametrize(
    ("comm", "line"),
    [
        pytest.param("a b-c d", b" a b-c d-77 [000] ..... 1.000000: bpf_trace_printk: x", id="blanks and dashes"),
        pytest.param("sh", b" sh-77 (   77) [000] ..... 1.000000: bpf_trace_printk: x", id="with the process id"),
    ],
)
def test_names_of_tasks_may_be_anything(comm, line):
    (row,) = _records([], line)

    assert (row.comm, row.tid, row.message) == (comm, 77, "x")


@pytest.mark.parametrize(
    ("tid", "comm"),
    [
        pytest.param(os.getpid(), Path("/proc/self/comm").read_text().strip(), id="alive"),
        # Above the largest that there can be (PID_MAX_LIMIT).
        pytest.param(4194305, "<...>", id="gone"),
    ],
)
def test_a_name_that_tracing_has_not_learned_is_asked_of_the_task(tid, comm):
    (row,) = _records([], b" <...>-%d [000] ..... 1.000000: bpf_trace_printk: x" % tid)

    assert (row.comm, row.tid) == (comm, tid)


@pytest.mark.parametrize(
    ("number", "digits"),
    [
        pytest.param(b"1234", 5000, id="task"),
        pytest.param(b"[001]", 8, id="CPU"),
        pytest.param(b"5678", 11, id="time"),
        pytest.param(b"5678", 5000, id="time without end"),
    ],
)
def test_a_line_with_a_number_that_the_kernel_never_writes_is_text(number, digits):
    """A traced process may choose a line's text: it goes on with the one before."""
    forged = LINE.replace(number, b"[" * number.startswith(b"[") + b"9" * digits + b"]" * number.startswith(b"["))

    rows = _records([], LINE + b"first\n" + forged + b"second")

    assert [row.message for row in rows] == ["first", (forged + b"second").decode()[:1024]]


def test_a_count_of_losses_that_the_kernel_never_writes_is_text():
    lines = Lines([])

    assert lines.feed(b"CPU:1 [LOST %s EVENTS]\n" % (b"9" * 5000)) == []
    assert lines.lost == 0


@pytest.mark.parametrize(
    ("text", "message", "ours"),
    [
        pytest.param(b"pid %d", b"pid 12", True, id="a number"),
        pytest.param(b"pid %d", b"pid 12 more", True, id="a conversion may print anything"),
        pytest.param(b"pid %d\n", b"pid 12", True, id="a newline at the end"),
        pytest.param(b"%s: %llu (%-5x) %pI4 100%%", b"x: 1 (a    ) 1.2.3.4 100%", True, id="all kinds"),
        pytest.param(b"pid %d", b"uid 12", False, id="another text"),
        pytest.param(b"a.c", b"abc", False, id="no regular expression"),
    ],
)
def test_a_line_is_told_by_its_format(text, message, ours):
    assert bool(_records([text], LINE + message)) == ours


def test_lines_of_others_and_what_follows_them_are_left_out():
    rows = _records([b"ours %d"], LINE + b"theirs 1\nand more\n" + LINE + b"ours 2\n" + LINE + b"theirs 3")

    assert [row.message for row in rows] == ["ours 2"]


def test_a_message_of_several_lines_keeps_its_head():
    rows = _records([b"one\ntwo"], LINE + b"one\ntwo")

    assert [(row.tid, row.message) for row in rows] == [(1234, "one"), (1234, "two")]


def test_a_line_that_is_not_whole_waits_for_its_rest():
    lines = Lines([])

    assert lines.feed(LINE + b"hel") == []
    assert [SCHEMA.decode(record).message for record in lines.feed(b"lo\n")] == ["hello"]


def test_lines_that_the_kernel_had_no_room_for_are_counted():
    lines = Lines([])
    records = lines.feed(LINE + b"a\nCPU:0 [LOST 408 EVENTS]\n" + LINE + b"b\nCPU:1 [LOST EVENTS]\n")

    assert [SCHEMA.decode(record).message for record in records] == ["a", "b"]
    assert lines.lost == 409


def test_a_head_from_the_past_is_part_of_the_message():
    rows = _records([], LINE + b"a\n sshd-1 [000] ..... 1.000000: bpf_trace_printk: b")

    assert [(row.comm, row.tid) for row in rows] == [("cat", 1234), ("cat", 1234)]


def test_a_long_message_is_cut():
    (row,) = _records([], LINE + b"x" * 5000)

    assert row.message == "x" * 1024


@given(st.binary())
def test_no_bytes_break_it(data):
    _records([b"%d"], data)


@given(st.binary().filter(lambda text: b"%" not in text and b"\n" not in text))
def test_a_format_without_conversions_prints_itself(text):
    assert _printed(_literals(text), text)


@given(
    st.lists(st.binary(max_size=4).filter(lambda text: b"%" not in text and b"\n" not in text), min_size=1, max_size=5),
    st.binary(max_size=30),
)
def test_literals_are_found_as_a_regular_expression_would(literals, message):
    text = b"%d".join(literals)

    expected = re.fullmatch(b".*".join(re.escape(literal) for literal in literals), message, re.DOTALL)
    assert _printed(_literals(text), message) == bool(expected)


def test_a_hostile_line_takes_no_time():
    # As a regular expression with twelve conversions this would take years.
    lines = Lines([b"%s " * 12 + b"end"])

    for line in (b" " * 1000, b"-1" * 500, b"x-1 (" * 200, LINE + b" " * 900):
        assert lines.feed(line + b"\n") == []
