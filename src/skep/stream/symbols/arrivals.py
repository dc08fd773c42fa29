"""What a command and its children map, as they map it: of one that ends at once, /proc tells nothing any more.

An event of the kernel that counts nothing tells of each mapping that can be executed, of each fork and each exec.

Minimum kernel: 3.16 (PERF_RECORD_MMAP2, comm_exec). Source: perf_event_open(2), kernel/events/core.c.
"""

from __future__ import annotations

import mmap
import os
import struct
from contextlib import suppress

from skep._native import ffi, lib
from skep.kernel.features import online_cpus
from skep.stream.symbols.mappings import Mapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Arrival", "Arrivals"]

_SOFTWARE, _DUMMY = 1, 9
# PERF_SAMPLE_TIME, at the end of every record: those of several CPUs are put in order by it.
_TIME = 1 << 2
# inherit, mmap, comm, task, sample_id_all, mmap2, comm_exec
_FLAGS = 1 << 1 | 1 << 8 | 1 << 9 | 1 << 13 | 1 << 18 | 1 << 23 | 1 << 24
_CLOSE_ON_EXEC = 1 << 3
_ATTRIBUTE_WORDS = 16
# Of the mapped page that says where records are: how far they were written, and how far they were read.
_HEAD, _TAIL = 1024, 1032
_SIZE = 64 * mmap.PAGESIZE
_LOST, _COMM, _FORK, _MMAP2 = 2, 3, 7, 10
_EXEC = 1 << 13
# pid, address, length, offset, major and minor of the device, inode
_MAPPED = struct.Struct("=I4xQQQIIQ8x8x")
_PIDS = struct.Struct("=II")


class Arrival:
    """Something has become of a process: it has mapped something, was forked, or executes another program.

    Args:
        pid: of the process; None where it was lost what has become of some.
        mapped: what it has mapped, and can execute.
        parent: that it was forked from.
    """

    __slots__ = ("mapped", "parent", "pid")

    def __init__(self, pid: int | None, *, mapped: Mapped | None = None, parent: int | None = None) -> None:
        self.pid = pid
        self.mapped = mapped
        self.parent = parent


class Arrivals:
    """Tells what a process, or every one, and its later children map, execute and fork.

    Args:
        pid: of the process; -1 for all there are.

    Raises:
        OSError: the kernel does not let us.
    """

    def __init__(self, pid: int) -> None:
        self._rings: list[mmap.mmap] = []
        attributes = ffi.new("uint64_t[]", _ATTRIBUTE_WORDS)
        ffi.cast("uint32_t *", attributes)[0:2] = [_SOFTWARE, _ATTRIBUTE_WORDS * 8]
        attributes[1], attributes[3], attributes[5] = _DUMMY, _TIME, _FLAGS
        try:
            for cpu in online_cpus():
                fd = _open(attributes, pid, cpu)
                try:
                    # The mapping keeps a descriptor of its own.
                    self._rings.append(mmap.mmap(fd, mmap.PAGESIZE + _SIZE))
                finally:
                    os.close(fd)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Ends it."""
        for ring in self._rings:
            ring.close()
        self._rings.clear()

    def drain(self) -> list[Arrival]:
        """What has come since the last time, in its order."""
        found = [record for ring in self._rings for record in _records(ring)]
        found.sort(key=lambda record: record[0])
        return [event for _, kind, misc, body in found for event in _told(kind, misc, body)]


def _open(attributes: object, pid: int, cpu: int) -> int:
    numbers = [ffi.cast("int", number) for number in (pid, cpu, -1)]
    fd = int(lib.syscall(lib.SYS_perf_event_open, attributes, *numbers, ffi.cast("long", _CLOSE_ON_EXEC)))
    if fd < 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return fd


def _records(ring: mmap.mmap) -> Iterator[tuple[int, int, int, bytes]]:
    """Time, kind, flags and body of the records of one CPU; they are read then."""
    head, tail = struct.unpack_from("=QQ", ring, _HEAD)
    # What was not read in time was not written (the ring is none that is written over).
    start, length = tail % _SIZE, head - tail
    data = ring[mmap.PAGESIZE + start : mmap.PAGESIZE + min(start + length, _SIZE)]
    data += ring[mmap.PAGESIZE : mmap.PAGESIZE + length - len(data)]
    struct.pack_into("=Q", ring, _TAIL, head)
    position = 0
    while position + 16 <= len(data):
        kind, misc, size = struct.unpack_from("=IHH", data, position)
        if size < 16:
            return
        record = data[position + 8 : position + size]
        yield struct.unpack_from("=Q", record, len(record) - 8)[0], kind, misc, record[:-8]
        position += size


def _told(kind: int, misc: int, body: bytes) -> Iterator[Arrival]:
    with suppress(struct.error):
        if kind == _MMAP2:
            pid, start, length, offset, major, minor, inode = _MAPPED.unpack_from(body)
            path = os.fsdecode(body[_MAPPED.size :].partition(b"\0")[0]).removeprefix("//anon")
            yield Arrival(pid, mapped=Mapped(start, start + length, offset, (major, minor), inode, path))
        elif kind == _COMM and misc & _EXEC:
            yield Arrival(_PIDS.unpack_from(body)[0])
        elif kind == _FORK:
            pid, parent = _PIDS.unpack_from(body)
            if pid != parent:
                yield Arrival(pid, parent=parent)
        elif kind == _LOST:
            yield Arrival(None)
