"""Records as CSV."""

import csv
import io

import pytest

from skep.base.errors import UsageError
from skep.base.schema import Field, Schema, Type
from skep.stream.names import Names
from skep.view.outputs import OUTPUTS
from skep.view.selection import selected

U32 = Type("int", 4, "u32")
SCHEMA = Schema(
    "event",
    40,
    (
        Field("pid", 0, 4, U32, "pid"),
        Field("ret", 4, 4, Type("int", 4, "s32", signed=True), "result"),
        Field("comm", 8, 16, Type("text", 16, "char[16]", count=16), "comm"),
        Field("pair", 24, 8, Type("array", 8, "u32[2]", element=U32, count=2)),
        Field("raw", 32, 4, Type("bytes", 4, "")),
        Field("ratio", 36, 4, Type("float", 4, "float")),
    ),
)


def row(comm, ret=-2):
    return (7, ret, comm, (1, 2), b"\1\2\3\4", 0.5)


def test_a_header_and_a_line_for_each_record():
    view = OUTPUTS["csv"](Names(), None, False)

    text = view.render(SCHEMA, [row("cat")]) + view.render(SCHEMA, [row('a "b",\x1b[1m\n', 3)]) + view.finish()

    assert text == (
        "pid,ret,ret_name,comm,pair,raw,ratio\r\n"
        '7,-2,ENOENT,cat,"[1, 2]",01020304,0.5\r\n'
        '7,3,,"a ""b"",\\x1b[1m\\n","[1, 2]",01020304,0.5\r\n'
    )
    assert [line["comm"] for line in csv.DictReader(io.StringIO(text))] == ["cat", 'a "b",\\x1b[1m\\n']


def test_records_of_another_kind_are_refused():
    view = OUTPUTS["csv"](Names(), None, True)
    view.render(SCHEMA, [row("cat")])

    with pytest.raises(UsageError, match="records of other") as caught:
        view.render(Schema("other", 4, (Field("pid", 0, 4, U32),)), [(1,)])
    assert "-o json" in str(caught.value.remedy)


@pytest.mark.parametrize("options", [{"rounds": True}, {"sort": "pid"}, {"group_by": "comm"}])
def test_a_header_stands_once_whatever_the_rounds(options):
    view = selected(lambda: OUTPUTS["csv"](Names(), None, False), Names(), [SCHEMA], drawn=False, **options)

    rounds = [view.render(SCHEMA, [row("cat")]) + view.finish() for _ in range(3)]

    assert [len(text.splitlines()) for text in rounds] == [2, 1, 1]
