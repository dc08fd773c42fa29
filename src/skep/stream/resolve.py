"""Fills `Names` from the running machine: names once, off the hot path; the clock's part is followed."""

from __future__ import annotations

import os
import time

from skep.kernel.clocks import clocks
from skep.stream.names import Names

__all__ = ["follow_clock", "resolve"]

# Nanoseconds between two readings of clocks, mostly: what is more may be a step.
_READING = 1_000_000


def resolve() -> Names:
    """The offsets of the kernel's clocks, the local time zone, and the users and groups of this machine."""
    import grp
    import pwd

    names = Names(
        users={entry.pw_uid: entry.pw_name for entry in pwd.getpwall()},
        groups={entry.gr_gid: entry.gr_name for entry in grp.getgrall()},
        architecture=os.uname().machine,
    )
    follow_clock(names)
    return names


def follow_clock(names: Names) -> None:
    """Sets the offsets anew where the clock was set since, or the machine slept; and the local time zone.

    Otherwise they stay as they are: two readings never differ by quite the same. It takes some 2 µs.

    Args:
        names: what is shown from now on is shown by the clock as it is now.
    """
    for meaning, offset in clocks().items():
        name = meaning.removeprefix("time_")
        if abs(offset - getattr(names, name)) > _READING:
            # Whoever is stopped between two readings has too small a one.
            setattr(names, name, max(clocks()[meaning] for _ in range(5)))
    names.utc_offset = time.localtime().tm_gmtoff
