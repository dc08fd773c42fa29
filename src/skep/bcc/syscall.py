"""System calls by number, as BCC's scripts import them from `bcc.syscall`."""

from __future__ import annotations

import os

from skep.base.abi.syscalls import syscalls as of_architecture

__all__ = ["syscall_name", "syscalls"]

syscalls = {number: name.encode() for number, name in of_architecture(os.uname().machine).items()}
"""Number -> name of this machine's system calls."""


def syscall_name(syscall_num: int) -> bytes:
    """The name of a system call, or ``[unknown: NUMBER]``.

    Args:
        syscall_num: its number.
    """
    return syscalls.get(syscall_num, b"[unknown: %d]" % syscall_num)
