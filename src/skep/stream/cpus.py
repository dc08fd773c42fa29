"""`Arrivals`: the CPUs that come online, as the kernel announces them.

A perf buffer belongs to a CPU and dies when that goes offline, as all CPUs but one do when a machine sleeps. Programs
on a CPU that came, or came back, send to nobody.

Minimum kernel: 2.6.10. Source: lib/kobject_uevent.c, drivers/base/core.c (device_online), kernel/cpu.c.
"""

from __future__ import annotations

import errno
import re
import socket

__all__ = ["Arrivals", "arrived"]

_UEVENTS = 15  # NETLINK_KOBJECT_UEVENT, include/uapi/linux/netlink.h
_FROM_KERNEL = 1  # its one group
_ONLINE = re.compile(rb"online@/devices/system/cpu/cpu(\d{1,9})\0")


class Arrivals:
    """Listens from now on, until it is closed.

    `missed` tells whether there were more announcements, of devices of all kinds, than the kernel keeps for us: then
    more CPUs may have come than `cpus` knew of when it was last asked.
    """

    __slots__ = ("_cpus", "_socket", "missed")

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, _UEVENTS)
        self._socket.bind((0, _FROM_KERNEL))
        self._cpus: set[int] = set()
        self.missed = False

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
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                # Told once; what the kernel did keep comes next.
                self.missed = True
                continue
            cpu = arrived(message)
            if cpu is not None:
                self._cpus.add(cpu)


def arrived(message: bytes) -> int | None:
    """The number of the CPU that an announcement says is online now; None: it is about something else.

    Args:
        message: as the kernel sends it: ACTION@DEVICE, then KEY=VALUE, each ended by a NUL.
    """
    arrival = _ONLINE.match(message)
    return int(arrival[1]) if arrival is not None else None
