"""System calls of 32-bit programs: their numbers mean others, in every view."""

import json

import pytest

from skep.base.schema import Field, Schema, Type
from skep.spec.meanings import with_meanings
from skep.stream.names import Names
from skep.view.ndjson import Ndjson
from skep.view.selection import selected
from skep.view.table import Table

U32 = Type("int", 4, "u32")
FIELDS = (Field("syscall", 0, 4, U32), Field("compat", 4, 4, U32))
CALLS = with_meanings(Schema("call", 8, FIELDS), set())
BOOL = with_meanings(Schema("call", 5, (FIELDS[0], Field("compat", 4, 1, Type("bool", 1, "bool")))), set())
# 5 is fstat on x86-64, and open for its 32-bit programs.
ROWS = [(5, 0), (5, 1)]


@pytest.mark.parametrize("schema", [pytest.param(CALLS, id="a number"), pytest.param(BOOL, id="a boolean")])
def test_a_table_names_calls_by_their_callers(schema):
    lines = Table(Names()).render(schema, ROWS).splitlines()

    assert [line.split()[0] for line in lines] == ["SYSCALL", "fstat", "open"]


def test_a_caller_is_told():
    lines = Table(Names()).render(CALLS, ROWS).splitlines()

    assert [line.split()[1] for line in lines] == ["COMPAT", "64-bit", "32-bit"]


def test_json_names_calls_by_their_callers():
    found = [json.loads(line) for line in Ndjson(Names()).render(CALLS, ROWS).splitlines()]

    assert [(each["syscall"], each["syscall_name"], each["compat_name"]) for each in found] == [
        (5, "fstat", "64-bit"),
        (5, "open", "32-bit"),
    ]


def test_a_machine_without_32_bit_numbers_leaves_numbers():
    lines = Table(Names(architecture="aarch64")).render(CALLS, [(80, 0), (80, 1)]).splitlines()

    assert [line.split()[0] for line in lines[1:]] == ["fstat", "80"]


def test_a_chosen_call_keeps_its_name():
    shown = selected(lambda: Table(Names()), Names(), [CALLS], fields="syscall").render(CALLS, ROWS)

    assert shown.split() == ["SYSCALL", "fstat", "open"]


def test_calls_are_found_by_either_name():
    for name, expected in (("open", ROWS[1]), ("fstat", ROWS[0])):
        view = selected(lambda: Ndjson(Names()), Names(), [CALLS], filter=f"syscall == {name}")
        assert json.loads(view.render(CALLS, ROWS))["compat"] == expected[1]


def test_groups_of_calls_keep_both_names():
    view = selected(lambda: Table(Names()), Names(), [CALLS], group_by="syscall")
    view.render(CALLS, ROWS)

    assert sorted(line.split()[0] for line in view.finish().splitlines()[1:]) == ["fstat", "open"]
