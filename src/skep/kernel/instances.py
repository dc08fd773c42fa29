"""Trace instances: buffers of tracing of our own, beside the global one, which others read.

An instance is a folder of tracefs. The kernel does not take it away with its maker, so its name says whose it is: those
of processes that are gone are removed by the next run that uses tracefs.

Minimum kernel: 3.10. Source: Documentation/trace/ftrace.rst ("Instances").
"""

from __future__ import annotations

import itertools
import os
import re

from skep.base.errors import UnsupportedError
from skep.kernel.features import CONFIDENTIALITY, lockdown, privilege_error, tracefs

__all__ = ["make_instance", "remove_instance", "remove_leftovers", "try_instance"]


_numbers = itertools.count()
# The folders of those that this process uses: another of its threads may be the next to look for leftovers.
_used: set[str] = set()


def make_instance() -> str:
    """Makes an instance, with nothing enabled in it; tracefs is mounted.

    Returns:
        Its folder.

    Raises:
        PrivilegeError, UnsupportedError: it cannot be made.
    """
    try:
        return try_instance()
    except OSError as error:
        # A kernel that is locked down calls it invalid.
        if not isinstance(error, PermissionError) and lockdown() != CONFIDENTIALITY:
            message = f"the trace instance {error.filename} cannot be made: {error.strerror}"
            raise UnsupportedError(message) from error
        known = {"CAP_DAC_OVERRIDE": "Records of a ring buffer need no tracefs."}
        raise privilege_error("reading what programs print", "CAP_DAC_OVERRIDE", instead=known) from error


def try_instance() -> str:
    """Makes an instance, as `make_instance` does.

    Returns:
        Its folder.

    Raises:
        OSError: it cannot be made.
    """
    folder = f"{tracefs()}/instances/skep-{os.getpid()}-{next(_numbers)}"
    _used.add(folder)
    try:
        os.mkdir(folder)
    except OSError:
        _used.discard(folder)
        raise
    return folder


def remove_instance(folder: str) -> None:
    """Removes an instance.

    Args:
        folder: where it is.
    """
    _used.discard(folder)
    try:
        os.rmdir(folder)
    except OSError:
        # Somebody else has a file of the instance open, or was faster: the next run tries again.
        return


def remove_leftovers() -> None:
    """Removes the instances of runs that were killed."""
    root = tracefs()
    if root is None:
        return
    instances = f"{root}/instances"
    try:
        names = os.listdir(instances)
    except OSError:
        # Not ours to see: whoever may make one may remove it, too.
        return
    for name in names:
        match = re.fullmatch(r"skep-(\d+)-\d+", name)
        if match is None:
            continue
        folder = f"{instances}/{name}"
        # A process of our number may have come before us.
        ours = int(match[1]) == os.getpid()
        if folder not in _used if ours else not os.path.exists(f"/proc/{match[1]}"):
            remove_instance(folder)
