"""`Function`: a program that a script has loaded, as it passes it on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.bcc.bpf import BPF
    from skep.kernel.program import Program

__all__ = ["Function"]


class Function:
    """A program in the kernel.

    Args:
        bpf: whose it is.
        program: the program.

    `fd` is its file descriptor, `sock` that of the socket of `BPF.attach_raw_socket`.
    """

    def __init__(self, bpf: BPF, program: Program) -> None:
        self.bpf = bpf
        self.program = program
        self.name = program.name.encode()
        self.fd = program.fd
        self.sock = -1
        self._kept: dict[Any, Any] = {}

    def keep(self, holder: Any, key: Any = None) -> None:
        """Keeps what keeps it attached.

        Args:
            holder: a socket or a file.
            key: what it is asked for by.
        """
        self._kept[key] = holder
        if key is None:
            self.sock = holder.fileno()

    def drop(self, key: Any) -> bool:
        """Closes what was kept; whether there was something.

        Args:
            key: as it was kept.
        """
        holder = self._kept.pop(key, None)
        if holder is not None:
            holder.close()
        return holder is not None

    def close(self) -> None:
        """Lets go of all that keeps it attached."""
        for key in list(self._kept):
            self.drop(key)
