"""Numbers of the system calls, by architecture."""

from __future__ import annotations

from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COMPAT", "syscalls"]

COMPAT = {"x86_64": "i386", "aarch64": "arm"}
"""Architecture -> that of its 32-bit programs."""


@cache
def syscalls(architecture: str) -> Mapping[int, str]:
    """Number -> name of the system calls.

    Args:
        architecture: ``x86_64``, ``aarch64``, or ``i386`` for the 32-bit callers of an x86-64 kernel. There is no table
            for others: every number stays a number.
    """
    if architecture == "x86_64":
        from skep.base.abi.syscalls_x86_64 import SYSCALLS
    elif architecture == "aarch64":
        from skep.base.abi.syscalls_aarch64 import SYSCALLS
    elif architecture == "i386":
        from skep.base.abi.syscalls_i386 import SYSCALLS
    else:
        return {}
    return SYSCALLS
