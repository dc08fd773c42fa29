"""`--group-by`, `--sum` and `--count`: groups as records of their own."""

import pytest

from skep.base.errors import UsageError
from skep.base.schema import Field, Schema, Type
from skep.stream.names import Names
from skep.view.ndjson import Ndjson
from skep.view.selection import selected
from skep.view.table import Table

U32 = Type("int", 4, "u32")
U64 = Type("int", 8, "u64")
COMM = Type("text", 16, "char[16]")
READ = Schema(
    "read",
    32,
    (
        Field("pid", 0, 4, U32, "pid"),
        Field("comm", 4, 16, COMM, "comm"),
        Field("bytes", 24, 8, U64, "bytes"),
    ),
)
TICK = Schema("tick", 4, (Field("cpu", 0, 4, U32),))
ROWS = [(1, "bash", 1_000), (2, "cat", 5), (3, "bash", 3_000), (1, "bash", 96)]
NAMES = Names()


def table(rows=ROWS, **options):
    view = selected(lambda: Table(NAMES), NAMES, [READ], **options)
    assert view.render(READ, rows[:1]) == ""
    assert view.render(READ, rows[1:]) == ""
    return view.finish()


def test_groups_are_counted_and_added_up():
    assert table(group_by="comm", sums="bytes", count=True) == (
        "COMM                 BYTES       COUNT\n"
        "bash               4.0 KiB           3\n"
        "cat                    5 B           1\n"
    )  # fmt: skip


def test_without_a_sum_groups_are_counted():
    assert table(group_by="comm, pid", sort="-count", limit=1) == (
        "COMM                 PID       COUNT\n"
        "bash                   1           2\n"
    )  # fmt: skip


def test_without_a_group_all_are_one():
    assert table(sums="bytes") == "    BYTES\n  4.0 KiB\n"
    assert table(count=True) == "     COUNT\n         4\n"


def test_what_is_filtered_is_not_counted_and_sums_are_sorted_and_chosen():
    shown = table(group_by="comm", sums="bytes", count=True, filter="bytes > 5", sort="bytes", fields="bytes")

    assert shown == "    BYTES\n  4.0 KiB\n"


def test_each_interval_begins_anew_with_its_header():
    view = selected(lambda: Table(NAMES), NAMES, [READ], group_by="comm")
    view.render(READ, ROWS)
    first = view.finish()
    view.render(READ, ROWS[:1])

    assert first.count("COMM") == 1
    assert view.finish() == "COMM                  COUNT\nbash                      1\n"
    assert view.finish() == ""


def test_groups_as_ndjson():
    view = selected(lambda: Ndjson(NAMES), NAMES, [READ, TICK], group_by="comm", sums="bytes", count=True)
    view.render(READ, ROWS)
    view.render(TICK, [(1,)])  # has no comm

    assert view.finish() == (
        '{"comm": "bash", "bytes": 4096, "count": 3}\n'
        '{"comm": "cat", "bytes": 5, "count": 1}\n'
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message", "remedy"),
    [
        ({"group_by": "cmm"}, "--group-by: there is no field cmm", "Did you mean comm?"),
        ({"sums": "bites"}, "--sum: there is no field bites", "Did you mean bytes?"),
        ({"sums": "comm"}, r"--sum: comm is no number \(char\[16\]\)", None),
        ({"group_by": "comm", "sort": "bytes"}, "--sort: there is no field bytes", "The fields are: comm, count."),
    ],
)
def test_what_cannot_be_counted(options, message, remedy):
    with pytest.raises(UsageError, match=message) as caught:
        table(**options)

    assert caught.value.remedy == remedy
