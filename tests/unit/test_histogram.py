"""`--hist` and `--hist-linear`: the layout that every eBPF user knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.base.errors import UsageError
from skep.base.schema import Field, Schema, Type
from skep.stream.names import Names
from skep.view.histogram import Scale, draw
from skep.view.ndjson import Ndjson
from skep.view.selection import selected
from skep.view.table import Table

U64 = Type("int", 8, "u64")
COMM = Type("text", 16, "char[16]")
CALL = Schema("call", 24, (Field("comm", 0, 16, COMM, "comm"), Field("took", 16, 8, U64, "duration_us")))
ROWS = [("cat", 0), ("cat", 1), ("bash", 5), ("cat", 4), ("cat", 7), ("cat", 6)]
NAMES = Names()


def shown(rows=ROWS, **options):
    view = selected(lambda: Table(NAMES), NAMES, [CALL], **options)
    assert view.render(CALL, rows) == ""
    return view.finish()


def test_ranges_that_double():
    assert shown(hist="took") == (
        "     took          : count     distribution\n"
        "        0 -> 1     : 2        |********************                    |\n"
        "        2 -> 3     : 0        |                                        |\n"
        "        4 -> 7     : 4        |****************************************|\n"
    )


def test_ranges_of_one_width():
    assert shown(hist_linear="took:5") == (
        "     took          : count     distribution\n"
        "        0 -> 4     : 3        |****************************************|\n"
        "        5 -> 9     : 3        |****************************************|\n"
    )


def test_a_range_is_as_wide_as_a_span_of_time():
    assert shown([("cat", 1), ("cat", 1500)], hist_linear="took:1ms") == (
        "     took          : count     distribution\n"
        "        0 -> 999   : 1        |****************************************|\n"
        "     1000 -> 1999  : 1        |****************************************|\n"
    )


def test_groups_stand_under_one_another():
    assert shown(hist="took", group_by="comm", filter="took > 3") == (
        "comm = bash\n"
        "     took          : count     distribution\n"
        "        0 -> 1     : 0        |                                        |\n"
        "        2 -> 3     : 0        |                                        |\n"
        "        4 -> 7     : 1        |****************************************|\n"
        "\n"
        "comm = cat\n"
        "     took          : count     distribution\n"
        "        0 -> 1     : 0        |                                        |\n"
        "        2 -> 3     : 0        |                                        |\n"
        "        4 -> 7     : 3        |****************************************|\n"
    )


def test_each_interval_begins_anew():
    view = selected(lambda: Table(NAMES), NAMES, [CALL], hist="took")
    view.render(CALL, ROWS)

    assert view.finish()
    assert view.finish() == ""


def test_for_programs_each_range_is_a_record():
    view = selected(lambda: Ndjson(NAMES), NAMES, [CALL], hist="took", group_by="comm", drawn=False, sort="-count")
    view.render(CALL, ROWS)

    assert view.finish() == (
        '{"comm": "cat", "low": 4, "high": 7, "count": 3}\n'
        '{"comm": "cat", "low": 0, "high": 1, "count": 2}\n'
        '{"comm": "bash", "low": 4, "high": 7, "count": 1}\n'
    )
    assert view.finish() == ""


def test_a_narrow_terminal_is_respected_and_names_are_escaped():
    text = draw({3: 7, 4: 14}, Scale(), "a\x1b[2J", 40)

    assert text == (
        "     a\\x1b[2J      : count     distribution\n"
        "        0 -> 1     : 0        |        |\n"
        "        2 -> 3     : 0        |        |\n"
        "        4 -> 7     : 0        |        |\n"
        "        8 -> 15    : 7        |****    |\n"
        "       16 -> 31    : 14       |********|\n"
    )
    assert draw({0: 1}, Scale(), "x", 20).splitlines()[1] == f"0 1 {'*' * 16}"


def test_a_group_whose_name_has_control_characters_is_escaped():
    assert shown([("\x1b[2J", 1)], hist="took", group_by="comm").startswith("comm = \\x1b[2J\n")


def test_numbers_far_apart_are_not_filled_up_with_empty_ranges():
    lines = shown([("a", 0), ("a", 10**15)], hist_linear="took:1").splitlines()

    assert len(lines) == 3


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**40))
def test_a_number_is_within_the_bounds_of_its_range(number, step):
    scale = Scale(step)
    low, high = scale.bounds(scale.slot(number))

    assert low <= number <= high
    assert scale.slot(low) == scale.slot(high) == scale.slot(number)
    assert scale.slot(low - 1) == scale.slot(low) - 1
    assert scale.slot(high + 1) == scale.slot(high) + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hist": "tok"}, "--hist: there is no field tok"),
        ({"hist": "comm"}, r"--hist: comm is no number \(char\[16\]\)"),
        ({"hist": "took", "group_by": "cmm"}, "--group-by: there is no field cmm"),
        ({"hist_linear": "took"}, "--hist-linear took: it takes FIELD:STEP"),
        ({"hist_linear": "took:0"}, "--hist-linear took:0: it takes FIELD:STEP"),
        ({"hist_linear": "took:-5"}, "STEP"),
        ({"hist_linear": "took:" + "9" * 25}, "STEP"),
        ({"hist_linear": "took:5ns"}, "STEP counts whole us, and 5ns is none"),
        ({"hist_linear": "comm:10ms"}, "it takes FIELD:STEP"),
        ({"hist_linear": "tok:10ms"}, "it takes FIELD:STEP"),
        ({"hist": "took", "sums": "took"}, "one of --hist, --hist-linear and --sum"),
        ({"hist": "took", "sort": "count"}, "--hist is a picture"),
    ],
)
def test_what_cannot_be_drawn(options, message):
    with pytest.raises(UsageError, match=message):
        shown(**options)


@pytest.mark.parametrize("width", [20, 24, 30])
def test_a_narrow_terminal_has_room_for_a_histogram(width):
    drawn = draw({0: 1, 3: 900, 10: 450}, Scale(), "latency_ns", width)

    lines = drawn.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0] == "latency_ns"
    assert lines[4].split() == ["8", "900", "*" * (width - 9)]
    assert lines[-1].split()[:2] == ["1024", "450"]
