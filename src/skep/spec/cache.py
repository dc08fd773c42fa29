"""The cache of built objects and of vmlinux headers, one folder for each effective user.

    $XDG_CACHE_HOME/skep (or ~/.cache/skep), mode 0700
        headers/ID/vmlinux.h        the header of one kernel's BTF, once it was asked for whole
        compilers/KEY               what was found out about a compiler
        objects/KEY.inputs          the files that a source, compiled with these flags, reads
        objects/KEY.bpf.o           the object made from exactly these contents
        scratch/RANDOM/             what is being made; gone with its maker, or with the next write if that was killed

A folder that belongs to somebody else is not used: the kernel runs, as root, what lies in it. Files appear whole or not
at all (atomic rename), so that two runs may fill the cache at once.
"""

from __future__ import annotations

import os

from skep.base.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.base.scratch import Scratch

__all__ = ["cache_folder", "read", "scratch", "trim", "write"]

# An object has some 20 KB: this is a bound on neglect, not on use.
_MOST_FILES = 1024


def cache_folder(name: str) -> str:
    """A folder of the cache, made if need be.

    Args:
        name: its path within the cache.

    Raises:
        SkepError: it belongs to another user, or cannot be made.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(_home(), ".cache")
    root = os.path.join(base, "skep")
    folder = os.path.join(root, name)
    try:
        os.makedirs(root, mode=0o700, exist_ok=True)
        status = os.stat(root)
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise SkepError(
                f"the cache {root} belongs to another user, or others may write to it, and what lies there would run",
                remedy=f"Set XDG_CACHE_HOME to a folder of your own, or: chown {os.geteuid()} {root}; chmod 700 {root}",
            )
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from error
    return folder


def _home() -> str:
    """The home of the effective user: $HOME may be nowhere, or under sudo another's, whom root would lock out."""
    home = os.path.expanduser("~")
    try:
        if os.stat(home).st_uid == os.geteuid():
            return home
    except OSError:
        pass
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return home


def _unusable(path: str, error: OSError) -> SkepError:
    return SkepError(
        f"the cache {path} cannot be written: {error.strerror}",
        remedy="Free some room, or set XDG_CACHE_HOME to a folder that can be written.",
    )


def read(path: str) -> bytes | None:
    """The contents of a file; None if it is not there or cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def write(path: str, data: bytes) -> None:
    """Puts a file into the cache, whole or not at all.

    Raises:
        SkepError: the disk is full, or the folder cannot be written.
    """
    try:
        with scratch() as folder:
            temporary = os.path.join(folder.path, "file")
            with open(temporary, "xb") as file:
                file.write(data)
            os.rename(temporary, path)
    except OSError as error:
        raise _unusable(path, error) from error


def scratch() -> Scratch:
    """A folder in which something is made that is renamed to its place in the cache.

    Raises:
        SkepError: the disk is full, or the cache cannot be used.
    """
    from skep.base.scratch import Scratch

    parent = cache_folder("scratch")
    try:
        return Scratch(parent, "")
    except OSError as error:
        raise _unusable(parent, error) from error


def trim(folder: str, *, most: int = _MOST_FILES) -> None:
    """Removes what was not used for longest from a folder: files, and folders with all that they hold.

    Call it before writing: what is newest is then never in danger.

    Args:
        folder: of the cache.
        most: how many may stay.
    """
    import contextlib

    files = []
    with os.scandir(folder) as entries:
        for entry in entries:
            # Another process may trim at the same time.
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat()
                # Many file systems note reads once a day, or never.
                files.append((max(status.st_atime, status.st_mtime), entry.path))
    files.sort(reverse=True)
    for _, path in files[most:]:
        # What cannot be removed is no reason to fail.
        with contextlib.suppress(OSError):
            _remove(path)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        import shutil

        shutil.rmtree(path)
    else:
        os.unlink(path)
