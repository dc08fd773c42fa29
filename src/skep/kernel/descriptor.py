"""`Descriptor`: the file descriptor of a map or a program: its object's, or one of its own."""

from __future__ import annotations

import os

from skep.base.closing import Closing

__all__ = ["Descriptor"]


class Descriptor(Closing):
    """What has a file descriptor. In the kernel it lives on as long as anybody else has it.

    Args:
        fd: -1 once it is closed.
        owned: whether it is this one's own to close.
    """

    __slots__ = ("_owned", "fd")

    def __init__(self, fd: int, *, owned: bool) -> None:
        self.fd = fd
        self._owned = owned

    def __del__(self) -> None:
        if getattr(self, "_owned", False):
            self.close()

    def close(self) -> None:
        """Ends the use of it. In the kernel it lives on as long as anybody else has it: a program, a link, a pin."""
        if self._owned and self.fd >= 0:
            os.close(self.fd)
        self.fd = -1
