"""Members of structs within records, named by their path."""

import json

import pytest

from skep.base.errors import UsageError
from skep.base.schema import Field, Schema, Type
from skep.stream.names import Names
from skep.view.outputs import OUTPUTS
from skep.view.selection import selected

U32 = Type("int", 4, "u32")
INNER = Type("struct", 8, "struct inner", fields=(Field("state", 0, 4, U32), Field("ret", 4, 4, U32, "result")))
OUTER = Type("struct", 12, "struct outer", fields=(Field("inner", 0, 8, INNER), Field("size", 8, 4, U32, "bytes")))
SCHEMA = Schema("event", 16, (Field("pid", 0, 4, U32, "pid"), Field("outer", 4, 12, OUTER)))
OTHER = Schema("other", 4, (Field("pid", 0, 4, U32, "pid"),))
ROWS = [(7, ((1, 2**32 - 2), 10)), (8, ((3, 0), 20)), (9, ((3, 0), 30))]


def shown(**options):
    view = selected(lambda: OUTPUTS["json"](Names(), None, False), Names(), [SCHEMA, OTHER], **options)
    text = view.render(SCHEMA, ROWS) + view.render(OTHER, [(1,)]) + view.finish()
    return [json.loads(line) for line in text.splitlines()]


def test_a_filter_finds_a_member_and_the_record_stays_as_it_is():
    assert [(event["pid"], list(event)) for event in shown(filter="outer.inner.ret == ENOENT or outer.size > 25")] == [
        (7, ["pid", "outer"]),
        (9, ["pid", "outer"]),
    ]


def test_members_are_chosen_and_ordered():
    assert shown(fields="pid,outer.size", sort="-outer.size", limit=1) == [{"pid": 9, "outer.size": 30}]
    assert shown(fields="outer.inner.ret", limit=1) == [
        {"outer.inner.ret": 2**32 - 2, "outer.inner.ret_name": "ENOENT"}
    ]


def test_members_are_counted():
    assert shown(group_by="outer.inner.state", sums="outer.size", count=True) == [
        {"outer.inner.state": 1, "outer.size": 10, "count": 1},
        {"outer.inner.state": 3, "outer.size": 50, "count": 2},
    ]
    assert shown(hist_linear="outer.size:20", drawn=False) == [
        {"low": 0, "high": 19, "count": 1},
        {"low": 20, "high": 39, "count": 2},
    ]


@pytest.mark.parametrize("name", ["outer.nothing", "pid.state", "outer.", ".", "outer..size", "nothing.at.all"])
def test_what_is_no_member_is_told(name):
    with pytest.raises(UsageError, match="there is no field"):
        shown(fields=name)
