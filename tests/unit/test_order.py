"""`--fields`, `--sort` and `--limit` in tables and in NDJSON."""

import random

import pytest

from skep.base.errors import UsageError
from skep.base.schema import Field, Schema, Type
from skep.stream.names import Names
from skep.view.ndjson import Ndjson
from skep.view.selection import selected
from skep.view.table import Table

U16 = Type("int", 2, "u16")
U32 = Type("int", 4, "u32")
U64 = Type("int", 8, "u64")
COMM = Type("text", 16, "char[16]")
CALL = Schema(
    "call",
    40,
    (
        Field("pid", 0, 4, U32, "pid"),
        Field("comm", 4, 16, COMM, "comm"),
        Field("took", 24, 8, U64, "duration_ns"),
        Field("_pad", 32, 8, U64),
    ),
)
TICK = Schema("tick", 4, (Field("cpu", 0, 4, U32),))
ROWS = [(1, "bash", 300, 0), (2, "cat", 2_000, 0), (3, "awk", 10, 0)]
NAMES = Names()


def table(rows=ROWS, width=None, **options):
    view = selected(lambda: Table(NAMES, width=width), NAMES, [CALL], **options)
    return view.render(CALL, rows) + view.finish()


def test_fields_are_shown_in_the_order_of_their_names():
    assert table(fields="comm,pid") == (
        "COMM                 PID\n"
        "bash                   1\n"
        "cat                    2\n"
        "awk                    3\n"
    )  # fmt: skip


def test_fields_that_are_left_out():
    assert table(fields="-comm,-took") == "    PID\n      1\n      2\n      3\n"
    assert table(fields="pid,comm,-comm") == "    PID\n      1\n      2\n      3\n"


def test_the_largest_first_and_no_more_than_the_limit():
    assert table(sort="-took", limit=2) == (
        "    PID  COMM                   TOOK\n"
        "      2  cat                2.000 us\n"
        "      1  bash                 300 ns\n"
    )  # fmt: skip


def test_text_is_sorted_as_text():
    assert [line.split()[1] for line in table(sort="comm").splitlines()] == ["COMM", "awk", "bash", "cat"]


def test_what_is_sorted_by_need_not_be_shown():
    assert table(sort="took", fields="pid") == "    PID\n      3\n      1\n      2\n"


def test_a_limit_without_an_order_takes_the_first_and_shows_them_at_once():
    view = selected(lambda: Ndjson(NAMES), NAMES, [TICK], limit=3)

    assert view.render(TICK, [(1,), (2,)]) == '{"cpu": 1}\n{"cpu": 2}\n'
    assert view.render(TICK, [(3,), (4,)]) == '{"cpu": 3}\n'
    assert view.render(TICK, [(5,)]) == ""
    assert view.finish() == ""
    assert view.render(TICK, [(6,)]) == '{"cpu": 6}\n'


def test_many_records_are_sorted_with_few_held():
    values = random.Random(1).sample(range(100_000), 50_000)
    view = selected(lambda: Ndjson(NAMES), NAMES, [TICK], sort="cpu", limit=3)
    for start in range(0, len(values), 1_000):
        assert view.render(TICK, [(value,) for value in values[start : start + 1_000]]) == ""

    smallest = sorted(values)[:3]
    assert view.finish() == "".join(f'{{"cpu": {value}}}\n' for value in smallest)


def test_types_without_the_field_come_as_they_came():
    view = selected(lambda: Ndjson(NAMES), NAMES, [CALL, TICK], sort="-pid", fields="pid,cpu")
    view.render(CALL, ROWS)
    view.render(TICK, [(7,), (5,)])

    assert view.finish() == '{"pid": 3}\n{"pid": 2}\n{"pid": 1}\n{"cpu": 7}\n{"cpu": 5}\n'


def test_a_family_decides_how_an_address_is_written_though_it_is_not_shown():
    address = Type("array", 16, "u8[16]", element=Type("int", 1, "u8"), count=16)
    peer = Schema("peer", 18, (Field("family", 0, 2, U16, "family"), Field("addr", 2, 16, address, "ip")))
    view = selected(lambda: Ndjson(NAMES), NAMES, [peer], fields="addr")
    loopback = (*([0] * 15), 1)

    assert '"addr_ip": "::1"' in view.render(peer, [(10, loopback)])
    assert '"addr_ip": "0.0.0.0"' in view.render(peer, [(2, loopback)])
    assert "family" not in view.render(peer, [(2, loopback)])


def test_names_with_control_characters_are_escaped_and_a_narrow_terminal_is_respected():
    shown = table([(1, "a\x1b[2Jb\n", 1, 0)], fields="pid,comm", width=20)

    assert shown == "PID  COMM\n  1  a\\x1b[2Jb\\n\n"
    assert all(len(line) <= 20 for line in shown.splitlines())


@pytest.mark.parametrize("options", [{"fields": "pid,cmm"}, {"sort": "cmm"}, {"sort": "-cmm"}, {"fields": "-cmm"}])
def test_a_field_that_there_is_not_comes_with_the_nearest(options):
    with pytest.raises(UsageError, match="there is no field cmm") as caught:
        table(**options)

    assert caught.value.remedy == "Did you mean comm?"


def test_what_has_no_order_is_not_sorted_by():
    place = Type("struct", 4, "struct place", fields=(Field("cpu", 0, 4, U32),))
    schema = Schema("placed", 4, (Field("place", 0, 4, place),))

    with pytest.raises(UsageError, match=r"--sort: place has no order \(struct place\)"):
        selected(lambda: Ndjson(NAMES), NAMES, [schema], sort="place")
