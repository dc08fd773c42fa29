"""Opens files that traced processes name: regular ones alone, and none outside of what the process sees as /.

Whoever is traced may name a device, whose opening alone has effects, or lead out of its root by a link.

Minimum kernel: 5.6 (openat2, RESOLVE_IN_ROOT). Source: openat2(2), fs/open.c.
"""

from __future__ import annotations

import errno
import os
import stat
import struct

from skep._native import ffi, lib

__all__ = ["open_regular"]

# Of one number on every architecture; headers older than the kernel that is needed do not name it.
_SYS_OPENAT2 = 437
# struct open_how: flags, mode, resolve
_HOW = struct.Struct("=QQQ")
_RESOLVE_NO_SYMLINKS, _RESOLVE_IN_ROOT = 0x04, 0x10


def open_regular(root: str, path: str, *, links: bool = True) -> int:
    """Opens a regular file for reading.

    Args:
        root: the folder that the path begins in, and does not leave, not by symbolic links either.
        path: of the file.
        links: whether symbolic links are followed.

    Returns:
        A descriptor, to be closed.

    Raises:
        OSError: there is none, it may not be read, or it is no regular file.
    """
    folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        place = _open_within(folder, os.fsencode(path), _RESOLVE_IN_ROOT | (0 if links else _RESOLVE_NO_SYMLINKS))
    finally:
        os.close(folder)
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        # What was looked at is what is opened, whatever stands at its path by now.
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(place)


def _open_within(folder: int, path: bytes, resolve: int) -> int:
    how = ffi.from_buffer(_HOW.pack(os.O_PATH | os.O_CLOEXEC, 0, resolve))
    numbers = ffi.cast("int", folder), ffi.from_buffer(path + b"\0"), how, ffi.cast("size_t", _HOW.size)
    found = int(lib.syscall(ffi.cast("long", _SYS_OPENAT2), *numbers))
    if found < 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return found
