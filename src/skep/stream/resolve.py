"""Fills `Names` from the running machine: once, off the hot path."""

from __future__ import annotations

import os
import time

from skep.stream.names import Names

__all__ = ["clocks", "resolve"]


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


def clocks() -> dict[str, int]:
    """Nanoseconds from each of the kernel's clocks to the Unix epoch, by the meaning that its moments have."""
    epoch = time.clock_gettime_ns(time.CLOCK_REALTIME)
    return {
        "time_monotonic": epoch - time.clock_gettime_ns(time.CLOCK_MONOTONIC),
        "time_boot": epoch - time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        "time_tai": epoch - time.clock_gettime_ns(time.CLOCK_TAI),
    }
