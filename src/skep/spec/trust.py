"""What root runs: not what anybody may have written.

A kernel file runs in the kernel, and a compiler as who calls it. As root, skep refuses both where every user may change
them, or may have put them (the kernel's protected_regular draws the same line in /tmp). What belongs to one other user
is run, and said in a line: root often works on the files of others, as in containers.
"""

from __future__ import annotations

import os
import stat

from skep.base.errors import PrivilegeError

__all__ = ["refuse_untrusted", "stranger"]


def refuse_untrusted(path: str) -> None:
    """Raises where root would run what anybody may have written. Other users harm nobody but themselves.

    Args:
        path: of a kernel file, or of a program.

    Raises:
        PrivilegeError: every user may write to it or replace it, or another user may have put it where all put files.
    """
    if os.geteuid() != 0:
        return
    real = os.path.realpath(path)
    folder = os.path.dirname(real)
    try:
        status, around = os.stat(real), os.stat(folder)
    except OSError:
        # Who opens it says what is wrong.
        return
    if not stat.S_ISREG(status.st_mode):
        return
    if status.st_mode & stat.S_IWOTH:
        raise PrivilegeError(f"root does not run {path}: every user may write to it", remedy=f"chmod o-w {real}")
    if around.st_mode & stat.S_IWOTH and not around.st_mode & stat.S_ISVTX:
        raise PrivilegeError(f"root does not run {path}: every user may replace it", remedy=f"chmod o-w {folder}")
    if around.st_mode & stat.S_IWOTH and not _ours(status.st_uid):
        raise PrivilegeError(
            f"root does not run {path}: it is of user {status.st_uid}, in a folder where every user may put files",
            remedy="Read it, and copy it to a folder of your own.",
        )


def stranger(path: str) -> str:
    """The user to whom a file belongs, if we are root and that is neither root nor who called sudo; else "".

    Args:
        path: of a kernel file.
    """
    owner = os.stat(path).st_uid
    if os.geteuid() != 0 or _ours(owner):
        return ""
    import pwd

    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return str(owner)


def _ours(owner: int) -> bool:
    return owner == 0 or str(owner) == os.environ.get("SUDO_UID")
