"""The cache of built objects and of vmlinux headers, one folder for each effective user.

    $XDG_CACHE_HOME/skep (or ~/.cache/skep), mode 0700
        headers/ID/vmlinux.h        the header of one kernel's BTF
        objects/KEY.inputs          the files that a source, compiled with these flags, reads
        objects/KEY.bpf.o           the object made from exactly these contents

A folder that belongs to somebody else is not used: the kernel runs, as root, what lies in it. Files appear whole or not
at all (atomic rename), so that two runs may fill the cache at once.
"""

from __future__ import annotations

import os

from skep.base.errors import SkepError

__all__ = ["cache_folder", "read", "trim", "write"]

# An object has some 20 KB: this is a bound on neglect, not on use.
_MOST_FILES = 1024


def cache_folder(name: str) -> str:
    """A folder of the cache, made if need be.

    Raises:
        SkepError: it belongs to another user, or cannot be made.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    root = os.path.join(base, "skep")
    folder = os.path.join(root, name)
    try:
        os.makedirs(base, exist_ok=True)
        for path in (root, folder):
            if not os.path.isdir(path):
                os.makedirs(path, mode=0o700, exist_ok=True)
        status = os.stat(root)
    except OSError as error:
        raise SkepError(
            f"the cache {root} cannot be used: {error.strerror}",
            remedy="Set XDG_CACHE_HOME to a folder that can be written.",
        ) from error
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise SkepError(
            f"the cache {root} belongs to another user, or others may write to it; what lies there would run as you",
            remedy=f"Set XDG_CACHE_HOME to a folder of your own, or: chown {os.geteuid()} {root}; chmod 700 {root}",
        )
    return folder


def read(path: str) -> bytes | None:
    """The contents of a file of the cache; None if it is not there."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(path: str, data: bytes) -> None:
    """Puts a file into the cache, whole or not at all."""
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        os.rename(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def trim(folder: str) -> None:
    """Removes the files of a folder that were not used for longest, down to its bound."""
    with os.scandir(folder) as entries:
        files = sorted((entry.stat().st_atime, entry.path) for entry in entries if entry.is_file())
    for _, path in files[:-_MOST_FILES]:
        os.unlink(path)
