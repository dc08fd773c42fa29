"""`--raw`: numbers, not what they stand for."""

from skep.base.schema import Field, Schema, Type
from skep.stream.names import Names
from skep.view.raw import Raw
from skep.view.table import Table

U32, U8 = Type("int", 4, "u32"), Type("int", 1, "u8")
STATE = Type("enum", 4, "enum state", enum={1: "BUSY"})
PAIR = Type("struct", 8, "struct pair", fields=(Field("flags", 0, 4, U32, "open_flags"), Field("state", 4, 4, STATE)))
SCHEMA = Schema(
    "event",
    44,
    (
        Field("ret", 0, 4, Type("int", 4, "s32", signed=True), "result"),
        Field("state", 4, 4, STATE),
        Field("uid", 8, 4, U32, "uid"),
        Field("comm", 12, 16, Type("text", 16, "char[16]", count=16), "comm"),
        Field("saddr", 28, 4, U32, "ipv4"),
        Field("pair", 32, 8, PAIR),
        Field("letters", 40, 4, Type("array", 4, "u8[4]", element=U8, count=4), "text"),
    ),
)
ROW = (-2, 1, 0, "cat\x1b", 16777343, (2, 1), (104, 105, 0, 0))


def test_text_stays_text_and_all_else_is_numbers():
    view = Raw(Table(Names(users={0: "root"})))

    lines = (view.render(SCHEMA, [ROW]) + view.finish()).splitlines()

    assert lines[1].split() == ["-2", "1", "0", "cat\\x1b", "16777343", "{flags=2,", "state=1}", "hi"]
