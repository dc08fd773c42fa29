"""`Printk`: the lines of bpf_printk(), as batches of records like any others.

The global trace_pipe has one reader (a second gets EBUSY) and takes lines away from others. So skep makes a tracefs
instance of its own, in which only bpf_trace_printk is enabled: every line comes to each instance. A line names its
task, not its program: what does not fit one of the object's own format strings is somebody else's.

Minimum kernel: 5.9 for the bpf_trace_printk tracepoint. Source: Documentation/trace/ftrace.rst ("Instances").
"""

from __future__ import annotations

import itertools
import os
import re
import struct
from array import array

from skep.base.errors import UnsupportedError
from skep.base.schema import Field, Schema, Type
from skep.kernel.features import mount_tracefs, privilege_error, tracefs
from skep.stream.batch import Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Self

__all__ = ["SCHEMA", "Printk"]

# A line has at most 1,024 bytes (BPF_TRACE_PRINTK_SIZE); records are cut behind their message.
_MESSAGE = 1024
SCHEMA = Schema(
    "printk",
    32 + _MESSAGE,
    (
        Field("time", 0, 8, Type("int", 8, "u64"), "time_monotonic"),
        Field("tid", 8, 4, Type("int", 4, "u32"), "tid"),
        Field("cpu", 12, 4, Type("int", 4, "u32")),
        Field("comm", 16, 16, Type("text", 16, "char[16]", count=16), "comm"),
        Field("message", 32, _MESSAGE, Type("text", _MESSAGE, f"char[{_MESSAGE}]", count=_MESSAGE), "text"),
    ),
)
_RECORD = struct.Struct("=QII16s")
_LINE = re.compile(
    rb"\s*(.+)-(\d+)\s+(?:\(.*?\)\s+)?\[(\d+)\]\s+\S+\s+(\d+)\.(\d{6}): bpf_trace_printk: (.*)", re.DOTALL
)
_CONVERSION = re.compile(rb"%(?:%|[-+ #0]*\d*(?:\.\d+)?(?:hh|h|ll|l|z)?(?:p[a-zA-Z0-9]*|[a-zA-Z]))")
_NAME = re.compile(r"skep-(\d+)-\d+")
_numbers = itertools.count()


class Printk:
    """A private reader of bpf_printk() lines: a context manager.

    Args:
        formats: the object's format strings; none: every line is taken.

    Raises:
        PrivilegeError, UnsupportedError: the instance cannot be made.
    """

    def __init__(self, formats: Iterable[bytes]) -> None:
        patterns = [_pattern(text) for text in formats]
        self._ours = re.compile(b"|".join(patterns) or b".*", re.DOTALL)
        self._rest = b""
        mount_tracefs()
        instances = f"{tracefs()}/instances"
        _remove_leftovers(instances)
        self._folder = f"{instances}/skep-{os.getpid()}-{next(_numbers)}"
        try:
            os.mkdir(self._folder)
        except PermissionError as error:
            raise privilege_error("reading what programs print") from error
        except OSError as error:
            raise UnsupportedError(f"the trace instance {self._folder} cannot be made: {error.strerror}") from error
        self.fd = -1
        try:
            # The default clock is a CPU's own and jumps; this one is that of bpf_ktime_get_ns().
            _write(f"{self._folder}/trace_clock", "mono")
            _write(f"{self._folder}/events/bpf_trace/bpf_trace_printk/enable", "1")
            self.fd = os.open(f"{self._folder}/trace_pipe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self.close()
            raise UnsupportedError(
                f"what programs print cannot be read: {error.strerror}: {error.filename}",
                remedy="The kernel needs the tracepoint bpf_trace/bpf_trace_printk (Linux 5.9).",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes the instance."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if os.path.isdir(self._folder):
            os.rmdir(self._folder)

    def drain(self) -> Iterator[Batch]:
        """The lines that are there now."""
        try:
            data = os.read(self.fd, 64 * 1024)
        except BlockingIOError:
            return
        lines, _, self._rest = (self._rest + data).rpartition(b"\n")
        records = list(self._records(lines))
        if records:
            offsets = array("I", [0])
            for record in records:
                offsets.append(offsets[-1] + len(record))
            yield Batch(
                memoryview(b"".join(records)),
                len(records),
                stride=None,
                offsets=memoryview(offsets),
                schema=SCHEMA,
                lost=0,
                source="printk",
                cpu=None,
            )

    def _records(self, lines: bytes) -> Iterator[bytes]:
        head: tuple[int, int, int, bytes] | None = None
        for line in lines.split(b"\n"):
            match = _LINE.fullmatch(line)
            message = line
            if match is not None:
                comm, tid, cpu, seconds, microseconds, message = match.groups()
                head = (int(seconds) * 10**9 + int(microseconds) * 1000, int(tid), int(cpu), comm)
                if not self._ours.fullmatch(message):
                    head = None
            # A line without a head goes on with the message before it.
            if head is not None and message:
                yield _RECORD.pack(*head) + message[:_MESSAGE]


def _pattern(text: bytes) -> bytes:
    """A regular expression for what a format string prints; only its first line stands behind the line's head."""
    first = text.partition(b"\n")[0]
    literals = [re.escape(part) for part in _CONVERSION.split(first)]
    found = [b"%" if match == b"%%" else b".*" for match in _CONVERSION.findall(first)]
    return b"(?:" + b"".join(a + b for a, b in zip(literals, [*found, b""], strict=True)) + b")"


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _remove_leftovers(instances: str) -> None:
    """Removes the instances of runs that were killed."""
    for name in os.listdir(instances):
        match = _NAME.fullmatch(name)
        if match is not None and not os.path.exists(f"/proc/{match[1]}"):
            try:
                os.rmdir(f"{instances}/{name}")
            except OSError:
                # Another run was faster, or a reader of the dead run's pipe (its child) still lives.
                continue
