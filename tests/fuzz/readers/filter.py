"""The expressions of --filter, and what other options name, tried on records. The first byte chooses which."""

from __future__ import annotations

from random import Random

from skep.base.schema import Field, Schema, Type
from skep.stream.names import Names
from skep.view.outputs import OUTPUTS
from skep.view.selection import selected
from tests.fuzz import mutation

_U32, _BYTE = Type("int", 4, "u32"), Type("int", 1, "u8")
_INNER = Type("struct", 8, "struct inner", fields=(Field("a", 0, 4, _U32), Field("b", 4, 4, _U32, "errno")))
_FIELDS = (
    ("pid", _U32, "pid"),
    ("ret", Type("int", 8, "s64", signed=True), "result"),
    ("uid", _U32, "uid"),
    ("comm", Type("text", 16, "char[16]", count=16), "comm"),
    ("latency_ns", Type("int", 8, "u64"), "duration_ns"),
    ("daddr", _U32, "ipv4"),
    ("addr", Type("array", 16, "u8[16]", element=_BYTE, count=16), "ip"),
    ("mac", Type("array", 6, "u8[6]", element=_BYTE, count=6), "mac"),
    ("port", Type("int", 2, "__be16"), "port_be"),
    ("state", Type("enum", 4, "enum state", enum={0: "IDLE", 7: "BUSY"}), None),
    ("ratio", Type("float", 8, "double"), None),
    ("on", Type("bool", 1, "bool"), None),
    ("inner", _INNER, None),
    ("raw", Type("bytes", 5, ""), None),
)


def _schema() -> Schema:
    fields, offset = [], 0
    for name, held, meaning in _FIELDS:
        fields.append(Field(name, offset, held.size, held, meaning))
        offset += held.size
    return Schema("event", offset, tuple(fields))


_SCHEMA = _schema()
_ROWS = [_SCHEMA.decode(bytes(_SCHEMA.size)), _SCHEMA.decode(bytes(range(1, _SCHEMA.size + 1)))]
_OPTIONS = ("filter", "fields", "sort", "group_by", "sums", "hist", "hist_linear")
_TEXTS = [
    'pid == 3 and comm =~ "py.*" and ret < 0',
    "not (ret == ENOENT or uid != root) and latency_ns >= 10ms",
    "daddr == 10.0.0.1 or addr == 2001:db8::1 and mac == 02:00:00:00:00:01",
    "state == BUSY and inner.b == EPERM and not on",
    "port > 0x1f and ratio < 2.5 and raw == x and comm !~ '^[a-c]+$'",
    "pid,comm,-ret",
    "-latency_ns",
    "inner.a,inner.b",
    "latency_ns:100",
]


def seeds() -> list[bytes]:
    return [bytes([index]) + text.encode() for index in range(len(_OPTIONS)) for text in _TEXTS]


def mutated(random: Random, seed: bytes) -> bytes:
    return seed[:1] + mutation.text(random, seed[1:])


def read(data: bytes) -> None:
    option, text = _OPTIONS[(data or b"\0")[0] % len(_OPTIONS)], data[1:].decode("utf-8", "surrogateescape")
    names = Names(users={0: "root"})
    view = selected(
        lambda: OUTPUTS["json"](names, None, False),
        names,
        [_SCHEMA],
        drawn=False,
        **{option: text},  # type: ignore[arg-type]
    )
    assert isinstance(view.render(_SCHEMA, _ROWS) + view.finish(), str)
