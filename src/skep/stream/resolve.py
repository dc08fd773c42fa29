"""Fills `Names` from the running machine: once, off the hot path."""

from __future__ import annotations

import os
import time

from skep.kernel.clocks import clocks
from skep.stream.names import Names

__all__ = ["resolve"]


def resolve() -> Names:
    """The offsets of the kernel's clocks, the local time zone, and the users and groups of this machine."""
    import grp
    import pwd

    offsets = clocks()
    return Names(
        monotonic=offsets["time_monotonic"],
        boot=offsets["time_boot"],
        tai=offsets["time_tai"],
        utc_offset=time.localtime().tm_gmtoff,
        users={entry.pw_uid: entry.pw_name for entry in pwd.getpwall()},
        groups={entry.gr_gid: entry.gr_name for entry in grp.getgrall()},
        architecture=os.uname().machine,
    )
