"""`Dicts`: what NDJSON says, as Python's values."""

from __future__ import annotations

import json

from skep.base.schema import Field, Schema, Type
from skep.stream.names import Names
from skep.view.dicts import Dicts
from skep.view.ndjson import Ndjson

U32 = Type("int", 4, "u32")
SCHEMA = Schema(
    "event",
    40,
    (
        Field("ret", 0, 4, Type("int", 4, "s32", signed=True), "result"),
        Field("uid", 4, 4, U32, "uid"),
        Field("_hidden", 8, 4, U32),
        Field("daddr", 12, 4, U32, "ipv4"),
        Field("ts", 16, 8, Type("int", 8, "u64"), "time_boot"),
        Field("comm", 24, 16, Type("text", 16, "char[16]", count=16), "comm"),
    ),
)
NAMES = Names(boot=1_790_000_000_000_000_000, users={0: "root"})


def _rows() -> list[object]:
    return [SCHEMA.row(-2, 0, 9, 0x0100007F, 5, 'a"b'), SCHEMA.row(3, 77, 9, 0, 0, "")]


def test_dicts_hold_what_ndjson_says() -> None:
    lines = Ndjson(NAMES).render(SCHEMA, _rows()).splitlines()

    assert list(Dicts(NAMES).render(SCHEMA, _rows())) == [json.loads(line) for line in lines]


def test_numbers_have_beside_them_what_they_stand_for() -> None:
    first, second = Dicts(NAMES).render(SCHEMA, _rows())

    assert (first["ret"], first["ret_name"], first["uid_name"], first["daddr_ip"]) == (
        -2,
        "ENOENT",
        "root",
        "127.0.0.1",
    )
    assert (second["ret_name"], second["uid_name"], second["ts_iso"]) == (None, None, None)
    assert "_hidden" not in first


def test_a_user_who_becomes_known_is_named() -> None:
    users: dict[int, str] = {}
    names = Names()
    names.users = users
    view = Dicts(names)
    assert next(view.render(SCHEMA, _rows()))["uid_name"] is None

    users[0] = "root"

    assert next(view.render(SCHEMA, _rows()))["uid_name"] == "root"
