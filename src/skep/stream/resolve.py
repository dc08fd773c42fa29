"""Fills `Names` from the running machine: once, off the hot path."""

from __future__ import annotations

import os
import time

from skep.stream.names import Names

__all__ = ["resolve"]


def resolve() -> Names:
    """The offsets of the kernel's clocks, the local time zone, and the users and groups of this machine."""
    import grp
    import pwd

    epoch = time.clock_gettime_ns(time.CLOCK_REALTIME)
    return Names(
        monotonic=epoch - time.clock_gettime_ns(time.CLOCK_MONOTONIC),
        boot=epoch - time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        tai=epoch - time.clock_gettime_ns(time.CLOCK_TAI),
        utc_offset=time.localtime().tm_gmtoff,
        users={entry.pw_uid: entry.pw_name for entry in pwd.getpwall()},
        groups={entry.gr_gid: entry.gr_name for entry in grp.getgrall()},
        architecture=os.uname().machine,
    )
