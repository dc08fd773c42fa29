"""What the guard reads: `BEHAVIOUR`, the record of one system call, and runs of a program as sequences of them.

`skep run behaviour -o json` records them (src/skep/tools/behaviour).

A call is a code of nine bits, so that seven of them fit into one 63-bit key: 0 stands before the first call of a
thread, a call's number plus one for the call, and `UNKNOWN` for every number beyond. Where events were lost,
`Trace.lost` says how many, and nothing that reaches across the hole is learned or judged.

What the machine does is not the program's behaviour: how long it waits for the next request, and whether a lock is
taken just now, differ with the load. Calls of `PASSED` are left out of the order of calls, and of calls of `WAITS` in a
row the first one stands for all; in what events tell, as in what the kernel watches.
"""

from __future__ import annotations

import numpy as np

from skep.base.abi.syscalls import syscalls
from skep.base.schema import Field, Schema, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Array = np.ndarray[Any, Any]

__all__ = ["BEHAVIOUR", "BITS", "PASSED", "UNKNOWN", "WAITS", "Run", "Trace", "call_name", "encode"]

BITS = 9
UNKNOWN = (1 << BITS) - 1
PASSED = frozenset(["futex", "restart_syscall", "sched_yield"])
WAITS = frozenset(
    ["clock_nanosleep", "epoll_pwait", "epoll_pwait2", "epoll_wait", "nanosleep", "poll", "ppoll", "pselect6", "select"]
)

_FIELDS = (
    ("ts", Type("int", 8, "u64"), "time_monotonic"),
    ("pid", Type("int", 4, "u32"), "pid"),
    ("tid", Type("int", 4, "u32"), "tid"),
    ("ret", Type("int", 8, "s64", signed=True), "result"),
    ("syscall", Type("int", 4, "u32"), "syscall"),
    ("ppid", Type("int", 4, "u32"), "ppid"),
    ("lost", Type("int", 4, "u32"), None),  # events of this thread that are missing before this one
    ("depth", Type("int", 2, "u16"), None),  # of the calling process below the program that is guarded
    ("compat", Type("int", 2, "u16"), "compat"),  # 1: a call of a 32-bit program, whose numbers are others
    ("comm", Type("text", 16, "char[16]", count=16), "comm"),  # the thread's role, once its numbers are taken out
    ("arguments", Type("text", 32, "char[32]", count=32), "text"),  # the class of the arguments: flags, family, request
    ("path", Type("text", 256, "char[256]", count=256), "text"),
    ("peer", Type("text", 64, "char[64]", count=64), "text"),  # address and port, of bind(2) its own
    ("child", Type("text", 256, "char[256]", count=256), "text"),  # the executable that was started
)


def _schema() -> Schema:
    fields, offset = [], 0
    for name, type_, meaning in _FIELDS:
        fields.append(Field(name, offset, type_.size, type_, meaning))
        offset += type_.size
    return Schema("behaviour", offset, tuple(fields))


BEHAVIOUR = _schema()


class Trace:
    """The calls of one thread, in order.

    Args:
        calls: their codes.
        role: what the thread is for: its name without numbers; "" where it has none.
        times: when each began, in nanoseconds; None where that is not known.
        lost: how many events are missing before each call; None for a whole trace.
        items: what else was seen: (position, kind, value), by position. Kinds are those of `skep.guard.items` and
            ``result``.
        depth: of each call's process, or None.
        before: the calls before its first one, where it goes on from another trace.
    """

    __slots__ = ("before", "calls", "depth", "items", "lost", "role", "times")

    def __init__(
        self,
        calls: Array,
        role: str = "",
        *,
        times: Array | None = None,
        lost: Array | None = None,
        items: Sequence[tuple[int, str, str]] = (),
        depth: Array | None = None,
        before: Sequence[int] = (),
    ) -> None:
        self.before = before
        self.calls = calls
        self.role = role
        self.times = times
        self.lost = lost
        self.items = tuple(items)
        self.depth = depth


class Run:
    """One run of a program, or one stretch of a long one: what is held out as a whole when the guard checks itself.

    Args:
        name: of its file.
        traces: one for each thread.
        when: when it was recorded, in seconds since 1970.
    """

    __slots__ = ("name", "traces", "when")

    def __init__(self, name: str, traces: Sequence[Trace], when: int = 0) -> None:
        self.name = name
        self.traces = tuple(traces)
        self.when = when

    @property
    def calls(self) -> int:
        """How many calls it has."""
        return sum(len(trace.calls) for trace in self.traces)

    @property
    def lost(self) -> int:
        """How many of its events are missing."""
        return sum(int(trace.lost.sum()) for trace in self.traces if trace.lost is not None)


def encode(number: int) -> int:
    """The code of a call's number."""
    return number + 1 if 0 <= number < UNKNOWN - 1 else UNKNOWN


def call_name(code: int, architecture: str) -> str:
    """A code as people read it: the call's name, ``syscall_N`` where the architecture has none of that number."""
    if code in {0, UNKNOWN}:
        return "start" if code == 0 else "unknown"
    table: Mapping[int, str] = syscalls(architecture)
    return table.get(code - 1, f"syscall_{code - 1}")
