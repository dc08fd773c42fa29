"""What a view needs to know of the machine that the records came from, as plain data.

`skep.stream.resolve` fills it from the running machine; a recording carries it along.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Names"]


class Names:
    """Resolved names and offsets.

    Args:
        monotonic: nanoseconds to add to a moment on CLOCK_MONOTONIC to get nanoseconds since the Unix epoch.
        boot: the same for CLOCK_BOOTTIME.
        tai: the same for CLOCK_TAI.
        utc_offset: seconds by which local time is ahead of UTC; negative west of Greenwich.
        users: uid -> login name.
        groups: gid -> name.
        architecture: of the machine, as ``uname -m`` says; or ``i386`` for its 32-bit callers.
    """

    __slots__ = ("architecture", "boot", "groups", "monotonic", "tai", "users", "utc_offset")

    def __init__(
        self,
        *,
        monotonic: int = 0,
        boot: int = 0,
        tai: int = 0,
        utc_offset: int = 0,
        users: Mapping[int, str] | None = None,
        groups: Mapping[int, str] | None = None,
        architecture: str = "x86_64",
    ) -> None:
        self.monotonic = monotonic
        self.boot = boot
        self.tai = tai
        self.utc_offset = utc_offset
        self.users = users or {}
        self.groups = groups or {}
        self.architecture = architecture
