"""Finds the meaning of a field from its type, its name and its neighbours; and the clock of a time from its programs.

The rules are those of the field's own habits: what `ts`, `delta_us`, `saddr` or `ret` hold in the kernel files that
people write. A rule needs type *and* name to agree; what fits none stays a plain number.
"""

from __future__ import annotations

import re

from skep.base.schema import Field, Schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from skep.base.schema import Type

__all__ = ["CLOCKS", "with_meanings"]

# Helpers that read a clock (include/uapi/linux/bpf.h), and the meaning of what they return.
CLOCKS = {5: "time_monotonic", 160: "time_monotonic", 125: "time_boot", 208: "time_tai"}

_INTEGERS = {"int"}


def _int(*sizes: int, signed: bool | None = None) -> Callable[[Type], bool]:
    return lambda type_: (
        type_.kind == "int" and (not sizes or type_.size in sizes) and (signed is None or type_.signed == signed)
    )


def _bytes16(type_: Type) -> bool:
    return type_.size == 16 and type_.kind in {"array", "struct", "union", "int", "text"}


# (the name, the type, the meaning); the first that fits counts. "time" stands for the clock that the programs read.
_RULES: tuple[tuple[str, Callable[[Type], bool], str], ...] = (
    (r"(.*_)?comm", lambda type_: type_.kind == "text", "comm"),
    (r".*", lambda type_: type_.kind == "text", "text"),
    (r"(.*_)?(ts|timestamp|time)(_ns)?|ktime(_ns)?|(start|end|begin)(_ns)?|when", _int(8), "time"),
    (r".*(^|_)(us|usec|usecs|micros)", _int(4, 8), "duration_us"),
    (r".*(^|_)(ms|msec|msecs|millis)", _int(4, 8), "duration_ms"),
    (r".*(^|_)(ns|nsec|nsecs|nanos)|(.*_)?(delta|duration|latency|elapsed|age|lat)", _int(8), "duration_ns"),
    (r"(.*_)?(ret|retval|result|ret_?code)", _int(4, 8), "result"),
    (r"(.*_)?(err|errno|error)", _int(4, 8), "errno"),
    (r"(.*_)?(sig|signal|signo|signum)", _int(1, 2, 4), "signal"),
    (r"exit_code", _int(4, 8), "exit_code"),
    (r"(.*_)?(syscall|syscall_(id|nr|number)|sysnr)", _int(2, 4, 8), "syscall"),
    (r"open_flags|o_flags", _int(4, 8), "open_flags"),
    (r"(.*_)?(family|af)", _int(1, 2, 4), "family"),
    (r"(.*_)?tid", _int(4), "tid"),
    (r"(.*_)?(ppid|parent_pid)", _int(4), "ppid"),
    (r"(.*_)?(pid|tgid)", _int(4), "pid"),
    (r"(.*_)?uid", _int(4), "uid"),
    (r"(.*_)?gid", _int(4), "gid"),
    (r"(.*_)?(s|d|src|dst|local|remote|l|r|n)?_?port", lambda type_: type_.name == "__be16", "port_be"),
    (r"(.*_)?(s|d|src|dst|local|remote|l|r|n)?_?port", _int(2), "port"),
    (r"(.*_)?bytes", _int(4, 8, signed=False), "bytes"),
    (r".*", lambda type_: type_.kind == "pointer", "pointer"),
)
_ADDRESS = re.compile(r"(.*_)?(s|d|src|dst|source|dest|local|remote|l|r)?_?(addr|ip|address)(_?v?[46])?")


def with_meanings(schema: Schema, helpers: Collection[int]) -> Schema:
    """The same schema, each field with the meaning that is found for it.

    Args:
        schema: as read from BTF.
        helpers: the numbers of the helpers that the programs call, to tell which clock a time is of.
    """
    clocks = sorted({CLOCKS[helper] for helper in helpers if helper in CLOCKS})
    clock = clocks[0] if len(clocks) == 1 else "time_monotonic"
    families = any(re.fullmatch(r"(.*_)?(family|af)", field.name) for field in schema.fields)
    fields = tuple(
        Field(
            field.name,
            field.offset,
            field.size,
            field.type,
            field.meaning or _meaning(field, clock, families=families),
            field.bits,
        )
        for field in schema.fields
    )
    return Schema(schema.name, schema.size, fields)


def _meaning(field: Field, clock: str, *, families: bool) -> str | None:
    name = field.name.lower()
    if field.bits is not None:
        return None
    if _ADDRESS.fullmatch(name):
        if _bytes16(field.type):
            return "ip" if families and not name.endswith("6") else "ipv6"
        if field.type.kind == "int" and field.type.size == 4:
            return "ipv4"
    for pattern, fits, word in _RULES:
        if fits(field.type) and re.fullmatch(pattern, name):
            return clock if word == "time" else word
    return None
