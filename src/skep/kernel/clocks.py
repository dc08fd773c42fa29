"""The clocks that programs read, beside the wall's."""

from __future__ import annotations

import time

__all__ = ["clocks"]


def clocks() -> dict[str, int]:
    """Nanoseconds from each of the kernel's clocks to the Unix epoch, by the meaning that its moments have."""
    epoch = time.clock_gettime_ns(time.CLOCK_REALTIME)
    return {
        "time_monotonic": epoch - time.clock_gettime_ns(time.CLOCK_MONOTONIC),
        "time_boot": epoch - time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        "time_tai": epoch - time.clock_gettime_ns(time.CLOCK_TAI),
    }
