"""What programs print, as scripts read it: whole lines, or their parts.

A script reads the trace pipe of an instance of its own: it takes nothing away from others, and others nothing from it.
As with BCC, what other programs print meanwhile is there, too.
"""

from __future__ import annotations

import os
import re
import select

from skep.kernel.instances import remove_leftovers
from skep.stream.printk import TracePipe, task_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Printing"]

# A task, its number, a CPU, flags, a time, and what printed: the longest name has 16 characters, and may have blanks.
_LINE = re.compile(
    rb"\s*+(.{1,16}?)-(\d++)\s++(?:\([^)]*+\)\s++)?\[(\d++)\]\s++(\S++)\s++(\d++\.\d++): [^:]*+: ?(.*)", re.DOTALL
)
_Fields = tuple["bytes | None", "int | None", "int | None", "bytes | None", "float | None", "bytes | None"]


class Printing:
    """The part of `BPF` that reads what programs print."""

    def __init__(self) -> None:
        self._pipe: TracePipe | None = None
        self._unread = b""

    def _open_pipe(self) -> TracePipe:
        if self._pipe is None:
            remove_leftovers()
            self._pipe = TracePipe()
        return self._pipe

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def trace_open(self, nonblocking: bool = False) -> Any:
        """A file of what programs print, for a script that reads it by itself.

        Args:
            nonblocking: whether reading ends where there is nothing yet.
        """
        fd = os.dup(self._open_pipe().fd)
        os.set_blocking(fd, not nonblocking)
        return os.fdopen(fd, "rb", buffering=0)

    def trace_readline(self, nonblocking: bool = False) -> bytes | None:
        """The next line, without its newline.

        Args:
            nonblocking: gives None where there is none yet; else it is waited for.
        """
        fd = self._open_pipe().fd
        while b"\n" not in self._unread:
            try:
                self._unread += os.read(fd, 64 * 1024)
            except BlockingIOError:
                if nonblocking:
                    return None
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                poll.poll()
        line, _, self._unread = self._unread.partition(b"\n")
        return line.rstrip()

    def trace_fields(self, nonblocking: bool = False) -> _Fields:
        """The parts of the next line: task, pid, CPU, flags, seconds, message.

        Args:
            nonblocking: gives six times None where there is no line yet.
        """
        while True:
            line = self.trace_readline(nonblocking)
            if line is None:
                return (None,) * 6
            found = _LINE.fullmatch(line)
            # Others are the rest of a message of several lines, of one that ends with a newline, and of what was lost.
            if found is not None:
                task, pid, cpu, flags, time, message = found.groups()
                return task_name(task, pid), int(pid), int(cpu), flags, float(time), message

    def trace_print(self, fmt: str | Callable[..., str] | None = None) -> None:
        """Prints lines as they come, until the script is interrupted.

        Args:
            fmt: how, as `str.format` has it, with the parts by number: ``pid {1}, msg = {5}``.
        """
        while True:
            line: object
            if fmt is None:
                line = self.trace_readline()
            else:
                fields = self.trace_fields()
                line = fmt(*fields) if callable(fmt) else fmt.format(*fields)
            # Bytes are shown as Python shows them, as everybody who knows BCC expects.
            print(line, flush=True)  # noqa: T201 - what it is for
