"""`Printk`: the lines of bpf_printk(), as batches of records like any others.

The global trace_pipe has one reader (a second gets EBUSY) and takes lines away from others. So skep makes a tracefs
instance of its own, in which only bpf_trace_printk is enabled: every line comes to each instance. A line names its
task, not its program: what does not fit one of the object's own format strings is somebody else's.

The pipe is text, and what a program prints with %s may hold newlines: a traced process can make a line look like two.
A line whose time lies well before the last one's is not believed; what must not be forged goes through a ring buffer.

Minimum kernel: 5.9 for the bpf_trace_printk tracepoint. Source: Documentation/trace/ftrace.rst ("Instances").
"""

from __future__ import annotations

import os
import re
import struct
from array import array

from skep.base.closing import Closing
from skep.base.errors import NO_DESCRIPTORS, UnsupportedError
from skep.base.schema import Field, Schema, Type
from skep.kernel.features import mount_tracefs
from skep.kernel.instances import make_instance, remove_instance
from skep.stream.batch import Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["SCHEMA", "Printk", "TracePipe", "task_name"]

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
# Possessive and bounded throughout: the text is chosen by the traced. No line may take longer than its length, and no
# number has more digits than the kernel's.
_LINE = re.compile(
    rb"\s*+(.{1,16}?)-(\d{1,7}+)\s++(?:\([^)]{0,16}\)\s++)?\[(\d{1,5}+)\]\s++\S++\s++(\d{1,10}+)\.(\d{6}): "
    rb"bpf_trace_printk: (.*)",
    re.DOTALL,
)
# What the kernel writes in place of lines for which its buffer had no room; the number is not always known.
_LOST = re.compile(rb"CPU:\d+ \[LOST (\d{0,10}) ?EVENTS\]")
_CONVERSION = re.compile(rb"%(?:%|[-+ #0]*\d*(?:\.\d+)?(?:hh|h|ll|l|z)?(?:p[a-zA-Z0-9]*|[a-zA-Z]))")
# A read gives a page at most; a drain ends after so many.
_READS = 64
# Lines of two CPUs may come in the wrong order, but not by so many nanoseconds.
_SLACK = 10**9


class TracePipe(Closing):
    """What programs print, as tracing writes it, in an instance of our own: a context manager.

    Args:
        clock: whose times stand in the lines, as tracefs calls it; None for the default, a CPU's own, which jumps.

    Raises:
        PrivilegeError, UnsupportedError: the instance cannot be made.

    `fd` is readable while there are lines, and never blocks.
    """

    def __init__(self, clock: str | None = None) -> None:
        mount_tracefs()
        self._folder = make_instance()
        self.fd = -1
        try:
            if clock is not None:
                _write(f"{self._folder}/trace_clock", clock)
            _write(f"{self._folder}/events/bpf_trace/bpf_trace_printk/enable", "1")
            self.fd = os.open(f"{self._folder}/trace_pipe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self.close()
            if error.errno in NO_DESCRIPTORS:
                raise
            raise UnsupportedError(
                f"what programs print cannot be read: {error.strerror}: {error.filename}",
                remedy="The kernel needs the tracepoint bpf_trace/bpf_trace_printk (Linux 5.9).",
            ) from error

    def close(self) -> None:
        """Removes the instance."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        remove_instance(self._folder)


class Printk(TracePipe):
    """A private reader of bpf_printk() lines: a context manager.

    Args:
        formats: the object's format strings; none: every line is taken.

    Raises:
        PrivilegeError, UnsupportedError: the instance cannot be made.

    `lost` counts the lines for which the kernel's buffer had no room; `more` says whether the last drain left some.
    """

    def __init__(self, formats: Iterable[bytes]) -> None:
        self._parser = Lines(formats)
        self.more = False
        # This clock is that of bpf_ktime_get_ns().
        super().__init__("mono")

    @property
    def lost(self) -> int:
        """Lines for which the kernel's buffer had no room, so far."""
        return self._parser.lost

    def drain(self) -> Iterator[Batch]:
        """The lines that are there now, up to 64 pages of them."""
        self.more = True
        for _ in range(_READS):
            try:
                data = os.read(self.fd, 64 * 1024)
            except BlockingIOError:
                self.more = False
                return
            lost = self.lost
            records = self._parser.feed(data)
            if records or self.lost > lost:
                yield _batch(records, self.lost - lost)


class Lines:
    """Parts what trace_pipe gives into records: pure.

    Args:
        formats: the object's format strings; none: every line is taken.
    """

    def __init__(self, formats: Iterable[bytes]) -> None:
        self._formats = [_literals(text) for text in formats]
        self._rest = b""
        self._time = 0
        self._head: tuple[int, int, int, bytes] | None = None
        self.lost = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The records of what has been read now; a last line that is not whole waits for the next call."""
        lines, newline, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest
        return [record for line in lines.split(b"\n") for record in self._record(line)] if newline else []

    def _record(self, line: bytes) -> Iterator[bytes]:
        lost = _LOST.fullmatch(line)
        if lost is not None:
            self.lost += int(lost[1] or 1)
            return
        match = _LINE.fullmatch(line)
        message = line
        if match is not None:
            comm, tid, cpu, seconds, microseconds, rest = match.groups()
            time = int(seconds) * 10**9 + int(microseconds) * 1000
            if time >= self._time - _SLACK:
                self._time = max(self._time, time)
                message = rest
                ours = not self._formats or any(_printed(literals, rest) for literals in self._formats)
                self._head = (time, int(tid), int(cpu), task_name(comm, tid)) if ours else None
        # A line without a head goes on with the message before it.
        if self._head is not None and message:
            yield _RECORD.pack(*self._head) + message[:_MESSAGE]


def task_name(comm: bytes, tid: bytes) -> bytes:
    """The name of a task. Tracing learns it when the task is next switched out: until then, only the task tells.

    Args:
        comm: as a line has it.
        tid: its number, as digits.
    """
    if comm != b"<...>":
        return comm
    try:
        with open(b"/proc/%s/comm" % tid, "rb") as file:
            return file.read().rstrip(b"\n")
    except OSError:
        return comm


def _batch(records: list[bytes], lost: int) -> Batch:
    offsets = array("I", [0])
    for record in records:
        offsets.append(offsets[-1] + len(record))
    return Batch(
        memoryview(b"".join(records)),
        len(records),
        stride=None,
        offsets=memoryview(offsets),
        schema=SCHEMA,
        lost=lost,
        source="printk",
        cpu=None,
    )


def _literals(text: bytes) -> list[bytes]:
    """What a format string prints between its conversions; only its first line stands behind the line's head."""
    first = text.partition(b"\n")[0]
    literals = [b""]
    position = 0
    for match in _CONVERSION.finditer(first):
        literals[-1] += first[position : match.start()]
        position = match.end()
        if match[0] == b"%%":
            literals[-1] += b"%"
        else:
            literals.append(b"")
    literals[-1] += first[position:]
    return literals


def _printed(literals: list[bytes], message: bytes) -> bool:
    """Whether a message may have been printed with these literals: a conversion may print anything."""
    first, last = literals[0], literals[-1]
    if len(literals) == 1:
        return message == first
    if not message.startswith(first) or not message.endswith(last) or len(message) < len(first) + len(last):
        return False
    position, end = len(first), len(message) - len(last)
    for literal in literals[1:-1]:
        found = message.find(literal, position, end)
        if found < 0:
            return False
        position = found + len(literal)
    return True


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
