"""What users name by hand, found: network interfaces, disks and cgroups; or where they are instead."""

from __future__ import annotations

import os

from skep._native import ffi, lib
from skep.base.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NETWORKS", "find_cgroup", "find_disk", "find_interface", "lost_cgroup", "lost_interface"]

_CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
NETWORKS = "/run/netns"
"""Where ``ip netns`` keeps the network namespaces to which it has given names."""


def find_interface(text: str) -> tuple[str, int]:
    """A network interface of this network namespace: its name and its number.

    Args:
        text: one of the two.

    Raises:
        UsageError: there is none; the remedy tells which there are, or where one of that name is.
    """
    from socket import if_indextoname, if_nameindex, if_nametoindex

    try:
        return (if_indextoname(int(text)), int(text)) if text.isdecimal() else (text, if_nametoindex(text))
    except (OSError, OverflowError, ValueError):
        elsewhere = "" if text.isdecimal() else _where(text)
    if elsewhere:
        raise UsageError(
            f"there is no network interface {text} here: it is in another network namespace",
            remedy=f"Run skep there: {elsewhere} skep ...",
        )
    known = ", ".join(name for _, name in if_nameindex())
    raise UsageError(f"there is no network interface {text}", remedy=f"The interfaces are: {known}.")


def lost_interface(index: int) -> str:
    """What became of an interface; "" if it is still there.

    Args:
        index: its number, which no other gets after it.
    """
    from socket import if_indextoname

    try:
        if_indextoname(index)
    except OSError:
        return "its interface is gone"
    return ""


def _where(name: str) -> str:
    """The command that enters a network namespace with an interface of that name; "" if none is found."""
    from threading import Thread

    found: list[str] = []

    def look() -> None:
        from socket import if_nametoindex

        for path, enter in _namespaces():
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            entered = not lib.syscall(lib.SYS_setns, ffi.cast("int", fd), ffi.cast("int", _CLONE_NEWNET))
            os.close(fd)
            try:
                if entered and if_nametoindex(name):
                    found.append(enter)
                    return
            except (OSError, ValueError):
                continue

    # A namespace is a thread's: this one's goes with it.
    thread = Thread(target=look)
    thread.start()
    thread.join()
    return "".join(found)


def _namespaces() -> Iterator[tuple[str, str]]:
    """The network namespaces of others, and the command that enters each."""
    seen = {os.stat("/proc/thread-self/ns/net").st_ino}
    names = sorted(os.listdir(NETWORKS)) if os.path.isdir(NETWORKS) else []
    candidates = [(f"{NETWORKS}/{name}", f"ip netns exec {name}") for name in names]
    candidates += [(f"/proc/{pid}/ns/net", f"nsenter -t {pid} -n") for pid in os.listdir("/proc") if pid.isdecimal()]
    for path, enter in candidates:
        try:
            number = os.stat(path).st_ino
        except OSError:
            continue
        if number not in seen:
            seen.add(number)
            yield path, enter


def find_disk(text: str) -> int:
    """The number of a disk or a partition, by which programs know it (dev_t).

    Args:
        text: its name (``sda``, ``/dev/sda``), or its numbers (``8:0``).

    Raises:
        UsageError: there is none.
    """
    name = text.removeprefix("/dev/").replace("/", "!")
    for path in (f"/sys/class/block/{name}/dev", f"/sys/dev/block/{name}/dev"):
        try:
            with open(path, encoding="ascii") as file:
                major, minor = map(int, file.read().split(":"))
        except (OSError, ValueError):  # a NUL is a ValueError
            continue
        # include/linux/kdev_t.h
        return major << 20 | minor
    known = ", ".join(sorted(os.listdir("/sys/block")))
    raise UsageError(f"there is no disk {text}", remedy=f"The disks are: {known}.")


def find_cgroup(path: str) -> int:
    """The number of a cgroup, by which programs know it.

    Args:
        path: its folder.

    Raises:
        UsageError: there is none, or it is one of version 1.
    """
    try:
        # Only a cgroup of version 2 has this file.
        os.stat(os.path.join(path, "cgroup.controllers"))
        return os.stat(path).st_ino
    except (OSError, ValueError):
        what = f"{path} is no cgroup (version 2)"
    if os.path.isfile(path):
        what += ": it is a file"
    elif os.path.exists(os.path.join(path, "cgroup.procs")):
        what += ": it is one of version 1"
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        mounts = [line.split()[1] for line in file if line.split()[2] == "cgroup2"]
    remedy = f"It is a folder below {mounts[0]}." if mounts else "Here none is: mount -t cgroup2 none FOLDER."
    raise UsageError(what, remedy=remedy)


def lost_cgroup(path: str, number: int) -> str:
    """What became of a cgroup; "" if it is still there.

    Args:
        path: its folder.
        number: as it was found.
    """
    try:
        return "" if os.stat(path).st_ino == number else "its cgroup is gone"
    except OSError:
        return "its cgroup is gone"
