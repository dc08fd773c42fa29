"""Fills `Names` from the running machine: names once, off the hot path; the clock's part is followed."""

from __future__ import annotations

import os
import time

from skep.kernel.clocks import clocks
from skep.kernel.places import NETWORKS
from skep.stream.names import Names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

__all__ = ["follow_clock", "resolve"]

# Seconds between two searches for a name.
_LOOK = 1.0
# The numbers of the first namespaces (include/uapi/linux/nsfs.h, enum init_ns_ino), and of that of processes.
# Before Linux 6.18 those of mounts and of the network have others.
_FIRST = range(0xEFFFFFF8, 0xF0000000)
_FIRST_OF_PROCESSES = 0xEFFFFFFC
# Nanoseconds between two readings of clocks, mostly: what is more may be a step.
_READING = 1_000_000


def resolve() -> Names:
    """The offsets of the kernel's clocks, the local time zone, and what users, groups and the like are called here."""
    import grp
    import pwd

    names = Names(
        users={entry.pw_uid: entry.pw_name for entry in pwd.getpwall()},
        groups={entry.gr_gid: entry.gr_name for entry in grp.getgrall()},
        cgroups=_Found(_cgroups),
        namespaces=_Found(_named_networks, _host_namespaces()),
        devices=_devices(),
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


def _devices() -> dict[int, str]:
    try:
        with open("/proc/partitions", encoding="utf-8") as file:
            lines = [line.split() for line in file.readlines()[2:]]
    except OSError:
        return {}
    return {int(major) << 20 | int(minor): name for major, minor, _, name in lines}


class _Found(dict[int, str]):
    """Names that are looked for when one is asked for that is not known: most runs need none, and new ones come."""

    def __init__(self, look: Callable[[], Iterator[tuple[str, str]]], known: Mapping[int, str] | None = None) -> None:
        super().__init__(known or {})
        self._look = look
        self._again = 0.0

    def get(self, number: int, default: Any = None) -> Any:
        if number not in self and time.monotonic() >= self._again:
            for path, name in self._look():
                try:
                    self.setdefault(os.stat(path).st_ino, name)
                except OSError:
                    continue  # gone meanwhile
            # One that is gone would have every record look.
            self._again = time.monotonic() + _LOOK
        return super().get(number, default)


def _cgroups() -> Iterator[tuple[str, str]]:
    # A cgroup's number is that of its folder (kernel/cgroup/cgroup.c, cgroup_id).
    root = _hierarchy()
    for folder, _, _ in os.walk(root) if root is not None else ():
        yield folder, folder.removeprefix(root or "") or "/"


def _host_namespaces() -> dict[int, str]:
    """Those that the machine started with. They are looked at now: later, process 1 may not be."""
    known = dict.fromkeys(_FIRST, "host")
    try:
        pid, *others = [os.stat(f"/proc/1/ns/{kind}").st_ino for kind in ("pid", "mnt", "net")]
    except OSError:
        return known
    # Else process 1 is a container's.
    return known | dict.fromkeys(others, "host") if pid == _FIRST_OF_PROCESSES else known


def _named_networks() -> Iterator[tuple[str, str]]:
    """The network namespaces to which ``ip netns`` has given names."""
    if os.path.isdir(NETWORKS):
        yield from ((f"{NETWORKS}/{name}", name) for name in os.listdir(NETWORKS))


def _hierarchy() -> str | None:
    """Where the cgroups of version 2 are mounted."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        return next((line.split()[1] for line in file if line.split()[2] == "cgroup2"), None)
