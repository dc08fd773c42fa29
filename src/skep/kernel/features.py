"""What this machine lets us do, found by trying: capabilities, tracefs.

Nothing here compares versions.
"""

from __future__ import annotations

import os

from skep._native import ffi, lib
from skep.base.errors import PrivilegeError, UnsupportedError

__all__ = ["missing_capabilities", "mount_tracefs", "privilege_error", "tracefs"]

# include/uapi/linux/capability.h. Loading takes CAP_BPF and CAP_PERFMON (since 5.8); CAP_SYS_ADMIN is for the rest.
_NEEDED = {"CAP_BPF": 39, "CAP_PERFMON": 38, "CAP_SYS_ADMIN": 21}
_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")


def missing_capabilities() -> list[str]:
    """The capabilities for loading and attaching that this process does not have."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        line = next(line for line in file if line.startswith("CapEff:"))
    effective = int(line.split()[1], 16)
    return [name for name, number in _NEEDED.items() if not effective >> number & 1]


def privilege_error(what: str) -> PrivilegeError:
    """The error for an EPERM of the kernel.

    Args:
        what: what was not permitted, as the start of a sentence.
    """
    missing = missing_capabilities()
    if missing:
        return PrivilegeError(
            f"{what} is not permitted: this process lacks {', '.join(missing)}",
            remedy='Run it as root: sudo skep ... (or sudo env PATH="$PATH" skep ... for a virtual environment).',
        )
    return PrivilegeError(
        f"{what} is not permitted, though this process has every capability: the kernel was built or locked down so",
        remedy="cat /sys/kernel/security/lockdown shows whether it is locked down.",
    )


def tracefs() -> str | None:
    """Where tracefs is mounted; None if nowhere."""
    return next((path for path in _TRACEFS if os.path.exists(f"{path}/events")), None)


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
        if number in {1, 13}:
            raise privilege_error("mounting tracefs")
        raise UnsupportedError(
            f"tracefs cannot be mounted at {_TRACEFS[0]}: {os.strerror(number)}",
            remedy="The kernel needs CONFIG_FTRACE and CONFIG_EVENT_TRACING.",
        )
    return True
