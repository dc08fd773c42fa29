"""Error numbers: their names as the kernel writes them, and what they mean."""

from __future__ import annotations

import errno
import os

__all__ = ["ERRNOS", "HIGHEST_ERRNO", "describe_errno"]

HIGHEST_ERRNO = 4095
"""The kernel's MAX_ERRNO: a return value from -4095 to -1 is an error, everything else is a value."""

# <linux/errno.h>, which is not part of the uapi: user space never sees these, but a program on a kernel function does.
_KERNEL_ONLY = {
    512: ("ERESTARTSYS", "Restart the system call if the signal's action says so"),
    513: ("ERESTARTNOINTR", "Restart the system call always"),
    514: ("ERESTARTNOHAND", "Restart the system call if the signal has no handler"),
    515: ("ENOIOCTLCMD", "No ioctl command"),
    516: ("ERESTART_RESTARTBLOCK", "Restart the system call by calling restart_syscall"),
    517: ("EPROBE_DEFER", "Driver requests probe retry"),
    518: ("EOPENSTALE", "Open found a stale dentry"),
    519: ("ENOPARAM", "Parameter not supported"),
    521: ("EBADHANDLE", "Illegal NFS file handle"),
    522: ("ENOTSYNC", "Update synchronization mismatch"),
    523: ("EBADCOOKIE", "Cookie is stale"),
    524: ("ENOTSUPP", "Operation is not supported"),
    525: ("ETOOSMALL", "Buffer or request is too small"),
    526: ("ESERVERFAULT", "An untranslatable error occurred"),
    527: ("EBADTYPE", "Type not supported by server"),
    528: ("EJUKEBOX", "Request initiated, but will not complete before timeout"),
    529: ("EIOCBQUEUED", "iocb queued, will get completion event"),
    530: ("ERECALLCONFLICT", "Conflict with recalled state"),
    531: ("ENOGRACE", "NFS file lock reclaim refused"),
}

ERRNOS: dict[int, str] = {
    **errno.errorcode,
    # Of two names for one number the standard library may have either; these are the kernel's.
    errno.EDEADLK: "EDEADLK",
    errno.EOPNOTSUPP: "EOPNOTSUPP",
    133: "EHWPOISON",  # which the standard library lacks before Python 3.14
    **{number: name for number, (name, _) in _KERNEL_ONLY.items()},
}
"""Number -> name."""


def describe_errno(number: int) -> str:
    """What an error number means, such as ``No such file or directory``.

    Args:
        number: the positive error number.
    """
    return _KERNEL_ONLY[number][1] if number in _KERNEL_ONLY else os.strerror(number)
