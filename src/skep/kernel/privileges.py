"""Capabilities: which this process has, which something lacks, and how they are given up.

Minimum kernel: 5.8 for CAP_BPF and CAP_PERFMON. Source: capabilities(7), include/uapi/linux/capability.h.
"""

from __future__ import annotations

import os

from skep._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NUMBERS", "PERMITTED", "capabilities", "drop", "in_initial_namespace", "inherit_nothing", "lacking"]

NUMBERS = {
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_KILL": 5,
    "CAP_NET_ADMIN": 12,
    "CAP_NET_RAW": 13,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYSLOG": 34,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
}
"""The capabilities that skep has a use for."""

PERMITTED = b"CapPrm"
"""The set of those that a process may make use of; the other that counts are those in effect."""

# What each of these is a part of: who has the second has the first.
_PARTS = {
    "CAP_BPF": "CAP_SYS_ADMIN",
    "CAP_PERFMON": "CAP_SYS_ADMIN",
    "CAP_DAC_READ_SEARCH": "CAP_DAC_OVERRIDE",
}
# The user namespace whose capabilities count for eBPF (include/linux/proc_ns.h, PROC_USER_INIT_INO).
_INITIAL_NAMESPACE = "user:[4026531837]"
_VERSION_3 = 0x20080522  # of the form in which capset(2) takes them: two words of 32 bits for each set
_PR_SET_NO_NEW_PRIVS = 38  # include/uapi/linux/prctl.h


def in_initial_namespace() -> bool:
    """Whether the capabilities of this process count for eBPF: those of a user namespace do not."""
    return os.readlink("/proc/self/ns/user") == _INITIAL_NAMESPACE


def capabilities(kind: bytes = b"CapEff") -> int:
    """A set of capabilities of this process, one bit each.

    Args:
        kind: which set, as /proc/self/status calls it.
    """
    # As bytes: a command's process, when it is another user's, may not be able to import what decodes text.
    with open("/proc/self/status", "rb") as file:
        return next(int(line.split()[1], 16) for line in file if line.startswith(kind))


def lacking(names: Iterable[str]) -> list[str]:
    """Those of some capabilities that this process lacks, in a way that counts for eBPF.

    Args:
        names: of capabilities. One that is a part of another is not lacking where that is there.
    """
    effective = capabilities() if in_initial_namespace() else 0
    return [
        name for name in names if not any(effective >> NUMBERS[each] & 1 for each in (name, _PARTS.get(name, name)))
    ]


def drop(keep: Iterable[str]) -> None:
    """Gives up all other capabilities, for good: nothing that this process executes can have them either.

    They are those of a thread: call it before others are started.

    Args:
        keep: names of those that stay, if they are there.
    """
    kept = sum(1 << NUMBERS[name] for name in set(keep))
    lib.syscall(lib.SYS_prctl, *(ffi.cast("long", number) for number in (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))
    _set(capabilities(PERMITTED) & kept)


def inherit_nothing() -> None:
    """Lets what this process executes have no more than its user has: nothing of what was given to skep alone."""
    _set(capabilities(PERMITTED))


def _set(permitted: int) -> None:
    """Sets the capabilities that are permitted, and in effect; none is inherited, so none is ambient."""
    header = ffi.new("uint32_t[2]", [_VERSION_3, 0])
    low, high = permitted & 0xFFFFFFFF, permitted >> 32
    sets = ffi.new("uint32_t[6]", [low, low, 0, high, high, 0])
    if lib.syscall(lib.SYS_capset, header, sets):
        raise OSError(ffi.errno, os.strerror(ffi.errno))
