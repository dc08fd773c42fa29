"""What the errno of a refused operation on a map means.

Source: kernel/bpf/syscall.c, and the file of each kind beside it (hashtab.c, arraymap.c, ...).
"""

from __future__ import annotations

import errno
import os

from skep.base.errors import ClosedError, EntryMissingError, MapError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.base.errors import SkepError
    from skep.kernel.map import Map

__all__ = ["UNSUPPORTED", "failure"]

# What the kernel says of what a kind of map cannot do: 524 is its own ENOTSUPP.
UNSUPPORTED = {errno.EOPNOTSUPP, 524}

# Kinds whose keys are places, counted from 0.
_PLACES = {
    "array",
    "array_of_maps",
    "cgroup_array",
    "cpumap",
    "devmap",
    "percpu_array",
    "perf_event_array",
    "prog_array",
    "reuseport_sockarray",
    "sockmap",
    "xskmap",
}
# include/uapi/linux/bpf.h: what user space may do with its file descriptor.
_READ_ONLY, _WRITE_ONLY = 1 << 3, 1 << 4
_DONE = {"read": "read", "write": "written to", "delete": "deleted from", "walk": "walked", "freeze": "frozen"}


def failure(map_: Map, number: int, doing: str, key: object) -> SkepError:
    """The error for what the kernel refuses.

    Args:
        map_: the map.
        number: the errno.
        doing: ``read``, ``write``, ``delete``, ``walk`` or ``freeze``.
        key: of which entry.
    """
    name, size = map_.name, map_.max_entries
    if map_.fd < 0:
        return ClosedError(f"map {name} is closed", remedy="Use it before its object is closed.")
    if number == errno.ENOENT or (number == errno.E2BIG and map_.kind in _PLACES and doing != "write"):
        return EntryMissingError(f"map {name} has no entry {key!r}")
    if number == errno.EEXIST:
        return MapError(f"map {name} has an entry {key!r} already", number)
    if number == errno.E2BIG and map_.kind in _PLACES:
        return MapError(f"map {name} has no entry {key!r}: it has {size}, counted from 0", number)
    if doing == "write" and number in {errno.E2BIG, errno.ENOSPC}:
        return MapError(
            f"map {name} is full: it has room for {size} ({errno.errorcode[number]})",
            number,
            remedy=f"Give it more room: --map {name}.max_entries=N, or load(sizes={{{name!r}: N}}).",
        )
    if number == errno.EINVAL and doing == "delete" and map_.kind in _PLACES:
        return MapError(f"the entries of map {name} ({map_.kind}) cannot be deleted, only written", number)
    if number in UNSUPPORTED or (number == errno.EINVAL and doing == "delete"):
        return UnsupportedError(f"map {name}: from user space, the kernel lets no {map_.kind} be {_DONE[doing]}")
    if number == errno.EPERM:
        return _not_permitted(map_, doing)
    return MapError(f"map {name} cannot be {_DONE[doing]}: {os.strerror(number)}", number)


def _not_permitted(map_: Map, doing: str) -> SkepError:
    info = map_.info
    if info.frozen and doing != "read":
        return MapError(f"map {map_.name} is frozen: user space may only read it", errno.EPERM)
    only = {_READ_ONLY: "reads", _WRITE_ONLY: "writes"}
    for flag, what in only.items():
        if info.flags & flag:
            return MapError(f"map {map_.name} was made for {what} of user space only", errno.EPERM)
    from skep.kernel.features import privilege_error

    return privilege_error(f"what was asked of map {map_.name} ({doing})")
