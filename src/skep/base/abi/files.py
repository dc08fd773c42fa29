"""The flags of open(2), <asm/fcntl.h>: four of them have other bits on arm64 than on x86."""

from __future__ import annotations

from functools import cache

__all__ = ["ACCESS_MODES", "open_flags"]

ACCESS_MODES = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")
"""Names of the two lowest bits, which are one number and not two flags."""

_SHARED = (
    (0o100, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (0o1000, "O_TRUNC"),
    (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"),
    (0o4010000, "O_SYNC"),
    (0o10000, "O_DSYNC"),
    (0o20000, "O_ASYNC"),
    (0o1000000, "O_NOATIME"),
    (0o2000000, "O_CLOEXEC"),
    (0o10000000, "O_PATH"),
    (0o400000000, "O_EMPTYPATH"),
)
_X86 = ((0o40000, "O_DIRECT"), (0o100000, "O_LARGEFILE"), (0o200000, "O_DIRECTORY"), (0o400000, "O_NOFOLLOW"))
_ARM = ((0o40000, "O_DIRECTORY"), (0o100000, "O_NOFOLLOW"), (0o200000, "O_DIRECT"), (0o400000, "O_LARGEFILE"))
_TMPFILE = 0o20000000


@cache
def open_flags(architecture: str) -> tuple[tuple[int, str], ...]:
    """The flags of open(2) as (bits, name), those of several bits before the flags that they contain.

    Args:
        architecture: as ``uname -m`` says. One that is not known has the flags that x86 shares with arm64 only.
    """
    own = {"x86_64": _X86, "i386": _X86, "aarch64": _ARM}.get(architecture, ())
    directory = next((bits for bits, name in own if name == "O_DIRECTORY"), 0)
    return ((_TMPFILE | directory, "O_TMPFILE"), *_SHARED, *own)
