"""Histograms that programs count in maps."""

import pytest

from skep.base.schema import Field, Schema, Type
from skep.stream.names import Names
from skep.view.slots import Slots
from skep.view.table import Table

U32 = Type("int", 4, "u32")
U64 = Type("int", 8, "u64")
SLOTS = Type("array", 16, "u32[4]", element=U32, count=4)
KEYED = Schema("lengths", 20, (Field("key", 0, 4, U32), Field("slots", 4, 16, SLOTS)))
BY_SLOT = Schema("delays", 16, (Field("cpu", 0, 4, U32), Field("slot", 4, 4, U32), Field("value", 8, 8, U64)))
PLAIN = Schema("counts", 12, (Field("key", 0, 4, U32), Field("value", 4, 8, U64)))
NAMES = Names()


def shown(schema, rows, width=None, **sample):
    return Slots(Table(NAMES), NAMES, {schema: sample}, width).render(schema, rows)


def test_an_array_called_slots_is_drawn_and_one_alone_needs_no_title():
    assert shown(KEYED, [(7, (0, 3, 0, 6))]) == (
        "     lengths       : count     distribution\n"
        "        0 -> 1     : 0        |                                        |\n"
        "        2 -> 3     : 3        |********************                    |\n"
        "        4 -> 7     : 0        |                                        |\n"
        "        8 -> 15    : 6        |****************************************|\n"
    )


def test_several_stand_under_one_another_with_their_unit():
    assert shown(KEYED, [(7, (1, 0, 0, 0)), (8, (2, 0, 0, 0))], type="log2_hist", unit="us") == (
        "key = 7\n"
        "     us            : count     distribution\n"
        "        0 -> 1     : 1        |****************************************|\n"
        "\n"
        "key = 8\n"
        "     us            : count     distribution\n"
        "        0 -> 1     : 2        |****************************************|\n"
    )


def test_a_slot_for_each_key_where_the_annotation_says_so():
    rows = [(0, 1, 4), (0, 0, 2), (1, 0, 1), (1, 3, 0)]

    assert shown(BY_SLOT, rows, type="linear_hist") == (
        "cpu = 0\n"
        "     delays        : count     distribution\n"
        "        0 -> 0     : 2        |********************                    |\n"
        "        1 -> 1     : 4        |****************************************|\n"
        "\n"
        "cpu = 1\n"
        "     delays        : count     distribution\n"
        "        0 -> 0     : 1        |****************************************|\n"
    )
    assert shown(PLAIN, [(1, 4)], type="log2_hist").splitlines()[2].split()[:5] == ["2", "->", "3", ":", "4"]


@pytest.mark.parametrize(
    ("schema", "rows", "sample"),
    [
        (PLAIN, [(1, 4)], {}),
        (PLAIN, [(1, 4)], {"type": "default_kv"}),
        (KEYED, [(7, (1, 2, 3, 4))], {"type": "default_kv"}),
    ],
)
def test_what_is_no_histogram_is_a_table(schema, rows, sample):
    assert shown(schema, rows, **sample) == Table(NAMES).render(schema, rows)
