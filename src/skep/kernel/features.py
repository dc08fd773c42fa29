"""What this machine lets us do, found by trying: capabilities, tracefs, libbpf.

Nothing here compares versions.
"""

from __future__ import annotations

import errno
import os

from skep._native import ffi, lib
from skep.base.errors import PrivilegeError, UnsupportedError

__all__ = ["missing_capabilities", "mount_tracefs", "online_cpus", "privilege_error", "tracefs"]

# include/uapi/linux/capability.h. Since 5.8 these two are enough to load; before, and instead of them, CAP_SYS_ADMIN.
_NEEDED = {"CAP_BPF": 39, "CAP_PERFMON": 38}
_SYS_ADMIN = 21
# What networks and cgroups need beside them.
_NETWORK = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}
_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
# The user namespace whose capabilities count for eBPF (include/linux/proc_ns.h, PROC_USER_INIT_INO).
_INITIAL_NAMESPACE = "user:[4026531837]"


def missing_capabilities(*more: str) -> list[str]:
    """The capabilities for loading and attaching that this process does not have.

    Args:
        more: others that are needed: CAP_NET_ADMIN, CAP_NET_RAW.
    """
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        line = next(line for line in file if line.startswith("CapEff:"))
    effective = int(line.split()[1], 16)
    if os.readlink("/proc/self/ns/user") != _INITIAL_NAMESPACE:
        effective = 0
    needed = {name: _NETWORK[name] for name in more}
    if not effective >> _SYS_ADMIN & 1:
        needed = {**_NEEDED, **needed}
    return [name for name, number in needed.items() if not effective >> number & 1]


def privilege_error(what: str, *more: str) -> PrivilegeError:
    """The error for an EPERM of the kernel.

    Args:
        what: what was not permitted, as the start of a sentence.
        more: capabilities that it needs beside those for loading.
    """
    missing = missing_capabilities(*more)
    if missing and os.readlink("/proc/self/ns/user") != _INITIAL_NAMESPACE:
        return PrivilegeError(
            f"{what} is not permitted: in a user namespace, capabilities do not count for eBPF",
            remedy="Run it as root on the host.",
        )
    if missing:
        return PrivilegeError(
            f"{what} is not permitted: this process lacks {', '.join(missing)}",
            remedy='Run it as root: sudo skep ... (or sudo env PATH="$PATH" skep ... for a virtual environment).',
        )
    return PrivilegeError(
        f"{what} is not permitted, though this process may load programs: the kernel was built or locked down so",
        remedy="cat /sys/kernel/security/lockdown shows whether it is locked down.",
    )


def tracefs() -> str | None:
    """Where tracefs is mounted; None if nowhere."""
    for path in _TRACEFS:
        try:
            os.stat(f"{path}/events")
        except FileNotFoundError:
            continue
        except PermissionError:
            # Mounted, and for root only: what reads it will say so.
            return path
        return path
    return None


def mount_tracefs() -> bool:
    """Mounts tracefs at its usual place if it is mounted nowhere, as libtracefs and systemd do. It stays mounted.

    Returns:
        True if it was mounted now.

    Raises:
        UnsupportedError: it cannot be mounted.
    """
    if tracefs() is not None:
        return False
    if lib.mount(b"tracefs", _TRACEFS[0].encode(), b"tracefs", 0, ffi.NULL):
        number = ffi.errno
        if number in {errno.EPERM, errno.EACCES}:
            raise privilege_error("mounting tracefs")
        raise UnsupportedError(
            f"tracefs cannot be mounted at {_TRACEFS[0]}: {os.strerror(number)}",
            remedy="The kernel needs CONFIG_FTRACE and CONFIG_EVENT_TRACING.",
        )
    return True


def online_cpus() -> list[int]:
    """The numbers of the CPUs that are online (/sys/devices/system/cpu/online: ``0-3,5``)."""
    cpus: list[int] = []
    with open("/sys/devices/system/cpu/online", encoding="ascii") as file:
        for part in file.read().strip().split(","):
            first, _, last = part.partition("-")
            cpus += range(int(first), int(last or first) + 1)
    return cpus
