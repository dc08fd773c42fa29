"""What a view needs to know of the machine that the records came from, as plain data.

`skep.stream.resolve` fills it from the running machine; a recording carries it along.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["Names"]

# Digits of a process id; build ids have more.
_LONGEST_PROCESS = 10


class Names:
    """Resolved names and offsets.

    Args:
        monotonic: nanoseconds to add to a moment on CLOCK_MONOTONIC to get nanoseconds since the Unix epoch.
        boot: the same for CLOCK_BOOTTIME.
        tai: the same for CLOCK_TAI.
        utc_offset: seconds by which local time is ahead of UTC; negative west of Greenwich.
        users: uid -> login name.
        groups: gid -> name.
        cgroups: number of a cgroup -> its path, from the root of the hierarchy.
        namespaces: number of a namespace -> whose it is.
        devices: number of a block device -> its name.
        stacks: field and number of a stack -> its addresses, innermost first; for fields that hold such numbers.
        frames: process, or build id of a file, and an address in it -> the function there, printable or not. 0 is the
            kernel, and a process that nobody tells.
        architecture: of the machine, as ``uname -m`` says; or ``i386`` for its 32-bit callers.
    """

    __slots__ = (
        "architecture",
        "boot",
        "cgroups",
        "devices",
        "frames",
        "groups",
        "monotonic",
        "namespaces",
        "stacks",
        "tai",
        "users",
        "utc_offset",
    )

    def __init__(
        self,
        *,
        monotonic: int = 0,
        boot: int = 0,
        tai: int = 0,
        utc_offset: int = 0,
        users: Mapping[int, str] | None = None,
        groups: Mapping[int, str] | None = None,
        cgroups: Mapping[int, str] | None = None,
        namespaces: Mapping[int, str] | None = None,
        devices: Mapping[int, str] | None = None,
        stacks: dict[tuple[str, int], tuple[int, ...]] | None = None,
        frames: dict[tuple[int | str, int], str] | None = None,
        architecture: str = "x86_64",
    ) -> None:
        self.monotonic = monotonic
        self.boot = boot
        self.tai = tai
        self.utc_offset = utc_offset
        self.users = users or {}
        self.groups = groups or {}
        # Those that find more as they are asked are empty at first.
        self.cgroups = {} if cgroups is None else cgroups
        self.namespaces = {} if namespaces is None else namespaces
        self.devices = devices or {}
        self.stacks = {} if stacks is None else stacks
        self.frames = {} if frames is None else frames
        self.architecture = architecture

    @property
    def clocks(self) -> dict[str, int]:
        """Nanoseconds from each of the kernel's clocks to the Unix epoch, by the meaning that its moments have."""
        return {"time_monotonic": self.monotonic, "time_boot": self.boot, "time_tai": self.tai}

    def set(self, other: Names) -> None:
        """Takes over what another knows: views keep the names that they were made with."""
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))

    def plain(self) -> dict[str, Any]:
        """What is known, as JSON takes it."""
        data = {name: getattr(self, name) for name in self.__slots__}
        # The keys of objects are text.
        data["stacks"], data["frames"] = {}, {}
        for (field, number), addresses in self.stacks.items():
            data["stacks"].setdefault(field, {})[str(number)] = addresses
        for (place, address), name in self.frames.items():
            data["frames"].setdefault(str(place), {})[str(address)] = name
        return data

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Names:
        """What was made plain.

        Args:
            data: as `plain` gives it, or anything else.

        Raises:
            ValueError, KeyError, TypeError, AttributeError, OverflowError: it is something else.
        """
        names = cls(architecture=str(data["architecture"]))
        for number in ("monotonic", "boot", "tai", "utc_offset"):
            value = int(data[number])
            value.to_bytes(8, "big", signed=True)  # moments are reckoned in 64 bits
            setattr(names, number, value)
        for table in ("users", "groups", "cgroups", "devices"):
            setattr(names, table, {int(key): str(name) for key, name in data[table].items()})
        # What was recorded before these were known has none.
        names.namespaces = {int(key): str(name) for key, name in data.get("namespaces", {}).items()}
        for field, stacks in data.get("stacks", {}).items():
            for number, addresses in stacks.items():
                names.stacks[field, int(number)] = tuple(map(int, addresses))
        for place, frames in data.get("frames", {}).items():
            known = int(place) if len(place) <= _LONGEST_PROCESS else place
            names.frames.update({(known, int(address)): str(name) for address, name in frames.items()})
        return names
