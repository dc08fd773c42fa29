"""Binaries, as scripts name them: a path, a library without its ``lib``, or a program."""

from __future__ import annotations

import os

from skep.base.errors import AttachError
from skep.spec.targets import Targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.link.executable import Executable

__all__ = ["find_binary_of", "open_binary_of"]


def find_binary_of(name: str | bytes, pid: int = -1) -> str:
    """The path of a binary, as scripts name it.

    Args:
        name: a path, or the name of a library without its ``lib``, or of a program.
        pid: the process that has loaded it; -1 for none.

    Raises:
        AttachError: there is none.
    """
    from skep.kernel.link.binary import find_binary

    text, targets = os.fsdecode(name), Targets(process=pid if pid > 0 else None)
    if "/" in text:
        return text
    try:
        return find_binary(f"lib{text}", targets)
    except AttachError:
        return find_binary(text, targets)


def open_binary_of(name: str | bytes, pid: int = -1) -> Executable:
    """The same, opened."""
    from skep.kernel.link.binary import open_binary

    return open_binary(find_binary_of(name, pid))
