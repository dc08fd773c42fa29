"""`Reader`: one loop over all ring and perf buffers of an object. C drains them, Python owns epoll.

A ring wakes its reader only if the reader had caught up: the faster the reader, the more wake-ups the traced program
pays for. So after the last record the reader lingers for a millisecond before it goes to sleep: under load this doubles
the throughput and takes a sixth of the CPU; when nothing happens it costs nothing.

Minimum kernel: 5.8 for ring buffers, 4.3 for perf buffers. Source: kernel/bpf/ringbuf.c, kernel/events/ring_buffer.c.
"""

from __future__ import annotations

import os
import select
import time
from itertools import groupby

from skep._native import ffi, lib
from skep.base.errors import LoadError, SkepError
from skep.kernel.features import online_cpus
from skep.stream.batch import Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any, Self

    from skep.kernel.object import Object
    from skep.spec.events import EventSpec
    from skep.stream.printk import Printk

__all__ = ["LINGER", "Reader", "by_schema"]

LINGER = 0.001  # seconds
# A batch has at most so many bytes (more only where one record alone has) and records.
_BUFFER = 256 * 1024
_RECORDS = 16 * 1024
# Bytes of a perf buffer, for each CPU.
_PERF_BUFFER = 256 * 1024


class _Source:
    __slots__ = ("cpu", "event", "handle", "lost")

    def __init__(self, handle: Any, event: EventSpec, cpu: int | None) -> None:
        self.handle = handle
        self.event = event
        self.cpu = cpu
        self.lost = 0


class Reader:
    """Reads the event streams of a loaded object: a context manager.

    Args:
        loaded: the object.

    Raises:
        LoadError: a buffer cannot be mapped.
    """

    def __init__(self, loaded: Object) -> None:
        self._sources: list[_Source] = []
        self._streams: list[Printk] = []
        self._more = False
        # A full batch takes a ring forward by half of _BUFFER at least: so often at most until it is empty.
        self._passes = 64
        self._poll = select.epoll()
        self._drained = ffi.new("struct skep_drained *")
        self._offsets = bytearray(4 * (_RECORDS + 1))
        self._buffer = bytearray(_BUFFER)
        try:
            for event in loaded.spec.events.values():
                if event.map in loaded.maps:
                    self._open(loaded, event)
        except BaseException:
            self.close()
            raise

    def _open(self, loaded: Object, event: EventSpec) -> None:
        map_ = loaded.maps[event.map]
        if map_.spec.is_ring:
            self._passes = max(self._passes, 2 * map_.max_entries // _BUFFER + 2)
            self._add(lib.skep_ring_open(map_.fd, map_.max_entries), event, None)
            return
        for cpu in online_cpus():
            # The map may have been made for fewer CPUs than are online; programs on the others send to nobody.
            if cpu < map_.max_entries:
                self._add(lib.skep_perf_open(map_.fd, cpu, _PERF_BUFFER), event, cpu)

    def _add(self, handle: Any, event: EventSpec, cpu: int | None) -> None:
        if handle == ffi.NULL:
            raise LoadError(f"the buffer of {event.map} cannot be mapped: {os.strerror(ffi.errno)}", ffi.errno)
        self._sources.append(_Source(handle, event, cpu))
        self._poll.register(lib.skep_source_fd(handle), select.EPOLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Unmaps the buffers."""
        for source in self._sources:
            lib.skep_source_close(source.handle)
        self._sources = []
        self._poll.close()

    def add(self, stream: Printk) -> None:
        """Reads another stream along with the rings."""
        self._streams.append(stream)
        self._poll.register(stream.fd, select.EPOLLIN)

    def watch(self, fd: int) -> None:
        """Lets `wait` return, once, when another file descriptor is readable."""
        # Once: that of a process that has ended stays readable, and another may still be waited for.
        self._poll.register(fd, select.EPOLLIN | select.EPOLLONESHOT)

    def wait(self, timeout: float | None) -> None:
        """Sleeps until a record waits, a watched file descriptor is readable, or time is up.

        Args:
            timeout: in seconds; None for ever.
        """
        self._poll.poll(timeout)

    def drain(self) -> Iterator[Batch]:
        """What is there now, up to one full batch of each source. No batch: there was nothing."""
        self._more = False
        for source in self._sources:
            batch = self._batch(source)
            if batch is not None:
                self._more |= bool(self._drained.more)
                yield from by_schema(batch, source.event)
        for stream in self._streams:
            yield from stream.drain()
            self._more |= stream.more

    def rest(self) -> Iterator[Batch]:
        """What is there now, all of it; but not what a producer that keeps up with us still adds."""
        for _ in range(self._passes):
            yield from self.drain()
            if not self._more:
                return

    @property
    def lost(self) -> int:
        """Records of perf buffers, and printed lines, dropped so far. Of ring buffers the kernel does not tell."""
        totals = [int(lib.skep_source_lost(source.handle)) for source in self._sources]
        counted = sum(total for total in totals if total >= 0)
        # Before Linux 6.0 a loss is told only with the next record of the same buffer.
        told = sum(source.lost for source, total in zip(self._sources, totals, strict=True) if total < 0)
        return counted + told + sum(stream.lost for stream in self._streams)

    def batches(self, timeout: float | None = None, ended: Callable[[], bool] = lambda: False) -> Iterator[Batch]:
        """Batches as they come.

        Args:
            timeout: ends after so many seconds; None for never.
            ended: asked before each drain; once it says yes, what is there then is the last.
        """
        end = None if timeout is None else time.monotonic() + timeout
        lingered = False
        while True:
            remaining = None if end is None else end - time.monotonic()
            if ended() or (remaining is not None and remaining <= 0):
                yield from self.rest()
                return
            empty = True
            for batch in self.drain():
                empty = False
                yield batch
            if empty and lingered:
                self.wait(remaining)
            elif empty:
                time.sleep(LINGER)
            lingered = empty and not lingered

    def _batch(self, source: _Source) -> Batch | None:
        drained = self._drained
        while True:
            error = lib.skep_drain(
                source.handle,
                ffi.from_buffer(self._buffer),
                len(self._buffer),
                ffi.from_buffer("uint32_t[]", self._offsets),
                _RECORDS,
                drained,
            )
            if error:
                raise SkepError(f"the buffer of {source.event.map} is corrupt", remedy="Please report this.")
            if not drained.needed:
                break
            self._buffer = bytearray(drained.needed)
        source.lost += drained.lost
        if not drained.count and not drained.lost:
            return None
        return Batch(
            # Copied: the next drain writes to the same memory.
            memoryview(bytes(memoryview(self._buffer)[: drained.bytes])),
            drained.count,
            stride=drained.stride or None,
            offsets=memoryview(bytes(memoryview(self._offsets)[: 4 * (drained.count + 1)])).cast("I"),
            schema=source.event.schema_of(drained.stride),
            lost=drained.lost,
            source=source.event.map,
            cpu=source.cpu,
        )


def by_schema(batch: Batch, event: EventSpec) -> Iterator[Batch]:
    """Batches of one schema each, in order; what was lost goes with the first.

    Args:
        batch: of several schemas.
        event: what tells them apart.
    """
    if len(event.schemas) == 1 or not batch.count or (event.tag is None and batch.stride is not None):
        yield batch
        return
    # By size: what a tag does not tell has a value that no program sets, or was cut short before it.
    schemas = [event.schema_of(batch.offsets[index + 1] - batch.offsets[index]) for index in range(batch.count)]
    if event.tag is not None:
        schemas = list(map(event.tag.schemas.get, batch.numbers(event.tag.field), schemas))
    if len(set(schemas)) == 1:
        batch.schema = schemas[0]
        yield batch
        return
    for schema, positions in groupby(range(batch.count), schemas.__getitem__):
        yield batch.select(list(positions), schema)
        batch.lost = 0
