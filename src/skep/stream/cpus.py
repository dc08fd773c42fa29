"""`Arrivals`: the CPUs that come online, as the kernel announces them.

A perf buffer belongs to a CPU and dies when that goes offline, as all CPUs but one do when a machine sleeps. Programs
on a CPU that came, or came back, send to nobody.

Minimum kernel: 2.6.10. Source: lib/kobject_uevent.c, drivers/base/core.c (device_online), kernel/cpu.c.
"""

from __future__ import annotations

import re
import socket

__all__ = ["Arrivals"]

_UEVENTS = 15  # NETLINK_KOBJECT_UEVENT, include/uapi/linux/netlink.h
_FROM_KERNEL = 1  # its one group
_ONLINE = re.compile(rb"online@/devices/system/cpu/cpu(\d+)\0")


class Arrivals:
    """Listens from now on, until it is closed."""

    __slots__ = ("_cpus", "_socket")

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, _UEVENTS)
        self._socket.bind((0, _FROM_KERNEL))
        self._cpus: set[int] = set()

    def close(self) -> None:
        """Stops listening."""
        self._socket.close()

    def cpus(self) -> list[int]:
        """The numbers of the CPUs that came since."""
        while True:
            try:
                message = self._socket.recv(8192)
            except BlockingIOError:
                return sorted(self._cpus)
            arrival = _ONLINE.match(message)
            if arrival is not None:
                self._cpus.add(int(arrival[1]))
