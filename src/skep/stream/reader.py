"""`Reader`: one loop over all ring and perf buffers of an object. C drains them, Python owns epoll.

A ring wakes its reader only if the reader had caught up: the faster the reader, the more wake-ups the traced program
pays for. So after the last record the reader lingers for a millisecond before it goes to sleep: under load this doubles
the throughput and takes a sixth of the CPU; when nothing happens it costs nothing.

Minimum kernel: 5.8 for ring buffers, 4.3 for perf buffers. Source: kernel/bpf/ringbuf.c, kernel/events/ring_buffer.c.
"""

from __future__ import annotations

import errno
import os
import select
import time

from skep._native import ffi, lib
from skep.base.closing import Closing
from skep.base.errors import LoadError, SkepError, UsageError
from skep.kernel.features import online_cpus
from skep.stream.batch import Batch, marked_texts
from skep.stream.kinds import Kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any

    from skep.kernel.object import Object
    from skep.spec.events import EventSpec
    from skep.stream.cpus import Arrivals
    from skep.stream.printk import Printk

__all__ = ["BATCH", "LINGER", "Reader"]

LINGER = 0.001
"""Seconds: under load, half the wake-ups and a sixth of the CPU time of a reader that does not wait."""
BATCH = 16 * 1024
"""Records that a batch has at most."""

# ... and bytes, unless one record alone has more.
_BUFFER = 1024 * 1024
# Bytes of a perf buffer, for each CPU.
_PERF_BUFFER = 256 * 1024
# Where files that include skep.h count what could not be sent (src/skep/spec/include/skep.h).
_LOST = "skep_lost_count"

# What is freed is handed out again as it is; a bytearray of this size would be filled with zeros first.
_allocate = ffi.new_allocator(lib.skep_memory_take, lib.skep_memory_give, should_clear_after_alloc=False)
_BYTES = ffi.typeof("char[]")


class _Source:
    """What is drained together: a ring, the perf buffer of one CPU, or those of all CPUs, merged."""

    __slots__ = ("count", "cpu", "event", "handles", "kinds", "lost", "single", "texts")

    def __init__(self, handles: list[Any], event: EventSpec, cpu: int | None) -> None:
        self.handles = ffi.new("struct skep_source *[]", handles)
        self.count = len(handles)
        self.event = event
        self.kinds = Kinds(event)
        self.cpu = cpu
        self.lost = 0
        # Of several types, the reader does not know which texts a record has.
        self.single = len(event.schemas) == 1
        texts = event.schemas[0].texts if self.single else ()
        self.texts = marked_texts(texts)
        for handle in handles:
            lib.skep_source_texts(handle, self.texts, len(self.texts))


class Reader(Closing):
    """Reads the event streams of a loaded object: a context manager.

    Args:
        loaded: the object.
        size: records that a batch has at most.
        linger: seconds to wait for more once there is nothing, before the reader goes to sleep.
        copy: gives each batch memory of its own; else it lends the reader's, until the next batch.
        merge: perf buffers of several CPUs as one stream, in the order of time; costs each record 8 bytes and a reading
            of the clock, and a record is shown only once those before it must have come: a round of the reader later.
        split: what becomes of records of several types on one ring: each run of one type a batch, each type a batch
            with the `order` of its records, or all together a batch for its rows.
        only: the name of the one ring that is read; None for all.
        room: bytes of a perf buffer, for each CPU: a power of two pages.

    Raises:
        UsageError: a batch of no records is asked for.
        LoadError: a buffer cannot be mapped.
    """

    def __init__(
        self,
        loaded: Object,
        *,
        size: int = BATCH,
        linger: float = LINGER,
        copy: bool = True,
        merge: bool = False,
        split: Callable[[Kinds, Batch], Iterator[Batch]] = Kinds.runs,
        only: str | None = None,
        room: int = _PERF_BUFFER,
    ) -> None:
        if size < 1:
            raise UsageError(f"a batch of {size} records", remedy="A batch has one record at least.")
        if linger < 0:
            raise UsageError(f"a linger of {linger} s", remedy="It is a time in seconds, or 0.")
        self._size = size
        self._linger = linger
        self._copy = copy
        self._merge = merge
        self._split = split
        self._room = room
        self._sources: list[_Source] = []
        self._streams: list[Printk] = []
        self._counter = loaded.variables.get(_LOST) if loaded.spec.counts_losses(_LOST) else None
        self._loaded = loaded
        self._arrivals: Arrivals | None = None
        self._more = False
        self._held = False
        # What was sent before the round before this one has arrived.
        self._rounds = [0, 0]
        # A full batch takes a ring forward by half of _BUFFER at least: so often at most until it is empty.
        self._passes = 64
        self._poll = select.epoll()
        self._drained = ffi.new("struct skep_drained *")
        self._numbers = memoryview(ffi.buffer(self._drained)).cast("Q")
        self._offsets = ffi.new("uint32_t[]", size + 1)
        self._capacity = 0 if copy else _BUFFER
        self._buffer = _allocate(_BYTES, self._capacity)
        try:
            for event in loaded.spec.events.values():
                if event.map in loaded.maps and only in {None, event.map}:
                    self._open(loaded, event)
        except BaseException:
            self.close()
            raise

    def _open(self, loaded: Object, event: EventSpec) -> None:
        map_ = loaded.maps[event.map]
        if map_.spec.is_ring:
            # Each record takes 8 bytes at least.
            self._passes = max(self._passes, 2 * map_.max_entries // min(_BUFFER, 8 * self._size) + 2)
            self._add([lib.skep_ring_open(map_.fd, map_.max_entries)], event, None)
            return
        if self._arrivals is None:
            from skep.stream.cpus import Arrivals

            self._arrivals = Arrivals()
        # The map may have been made for fewer CPUs than are online; programs on the others send to nobody.
        cpus = [cpu for cpu in online_cpus() if cpu < map_.max_entries]
        if self._merge:
            self._add([lib.skep_perf_open(map_.fd, cpu, self._room, True) for cpu in cpus], event, None)
            return
        for cpu in cpus:
            self._add([lib.skep_perf_open(map_.fd, cpu, self._room, False)], event, cpu)

    def _add(self, handles: list[Any], event: EventSpec, cpu: int | None) -> None:
        opened = [handle for handle in handles if handle != ffi.NULL]
        self._sources.append(_Source(opened, event, cpu))
        if len(opened) < len(handles):
            raise LoadError(f"the buffer of {event.map} cannot be mapped: {os.strerror(ffi.errno)}", ffi.errno)
        for handle in opened:
            self._poll.register(lib.skep_source_fd(handle), select.EPOLLIN)

    def close(self) -> None:
        """Unmaps the buffers."""
        for handle in self._handles():
            lib.skep_source_close(handle)
        # In place: a `drain` that somebody has not finished goes over them.
        self._sources.clear()
        if self._arrivals is not None:
            self._arrivals.close()
        self._poll.close()

    def _handles(self) -> Iterator[Any]:
        return (handle for source in self._sources for handle in source.handles)

    def fileno(self) -> int:
        """A file descriptor that is readable while records wait: for an event loop."""
        return self._poll.fileno()

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
        self._more = self._held = False
        lost = self._lost_of_rings()
        self._rounds = [self._rounds[1], time.monotonic_ns()]
        for source in self._sources:
            batch = self._batch(source, self._rounds[0])
            if batch is not None:
                batch.lost += lost
                lost = 0
                if source.single:
                    yield batch
                else:
                    yield from self._split(source.kinds, batch)
        self._loaded.losses_told -= lost
        for stream in self._streams:
            yield from stream.drain()
            self._more |= stream.more

    def rest(self) -> Iterator[Batch]:
        """What is there now, all of it; but not what a producer that keeps up with us still adds."""
        for _ in range(self._passes):
            yield from self.drain()
            # What is held back is let go in the round after the next.
            if not self._more and not self._held:
                return

    def _lost_of_rings(self) -> int:
        """How many more records the kernel file says that it could not send, than any reader has told."""
        if self._counter is None:
            return 0
        counted = self._counter.value
        lost, self._loaded.losses_told = counted - self._loaded.losses_told, counted
        return int(lost)

    @property
    def lost(self) -> int:
        """Records of perf buffers, and printed lines, dropped so far. Of ring buffers the kernel does not tell."""
        lost = sum(stream.lost for stream in self._streams)
        for source in self._sources:
            totals = [int(lib.skep_source_lost(handle)) for handle in source.handles]
            # Before Linux 6.0 a loss is told only with the next record of the same buffer.
            lost += source.lost if -1 in totals else sum(totals)
        return lost

    @property
    def unheard(self) -> list[int]:
        """The CPUs that came online since the perf buffers were opened: what programs send there is lost, uncounted."""
        return self._arrivals.cpus() if self._arrivals is not None else []

    @property
    def unheard_missed(self) -> bool:
        """Whether there may be more of them than `unheard` told when it was last asked."""
        return self._arrivals is not None and self._arrivals.missed

    async def batches_later(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - as that of `batches`
        ended: Callable[[], bool] = lambda: False,
    ) -> AsyncIterator[Batch]:
        """Batches as they come, for a running event loop, which does other things meanwhile.

        Args:
            timeout: ends after so many seconds; None for never.
            ended: asked before each drain; once it says yes, what is there then is the last.
        """
        from asyncio import Event, get_running_loop, sleep, wait_for

        loop = get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        lingered = False
        while True:
            remaining = None if end is None else end - loop.time()
            if ended() or (remaining is not None and remaining <= 0):
                for batch in self.rest():
                    yield batch
                return
            empty = True
            for batch in self.drain():
                empty = False
                yield batch
            if empty and lingered and not self._held:
                ready = Event()
                # Only as long as we wait: what is not finished yet keeps it readable.
                loop.add_reader(self.fileno(), ready.set)
                try:
                    await wait_for(ready.wait(), remaining)
                except TimeoutError:
                    continue
                finally:
                    loop.remove_reader(self.fileno())
            elif empty:
                await sleep(self._linger)
            lingered = empty and not lingered

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
            if empty and lingered and not self._held:
                self.wait(remaining)
            elif empty:
                time.sleep(self._linger)
            lingered = empty and not lingered

    def _batch(self, source: _Source, until: int) -> Batch | None:
        capacity = lib.skep_waiting(source.handles, source.count)
        if not capacity:
            return None
        # A batch that is the caller's has memory of its own from the start: nothing is copied twice.
        capacity = min(capacity, _BUFFER) if self._copy else self._capacity
        buffer = _allocate(_BYTES, capacity) if self._copy else self._buffer
        while True:
            error = lib.skep_drain(
                source.handles, source.count, until, buffer, capacity, self._offsets, self._size, self._drained
            )
            if error:
                raise _error(source.event.map, -error)
            size, count, stride, lost, needed, more, held = self._numbers.tolist()
            if not needed:
                break
            capacity = needed
            buffer = _allocate(_BYTES, capacity)
            if not self._copy:
                self._buffer, self._capacity = buffer, capacity
        source.lost += lost
        self._more |= more != 0
        self._held |= held != 0
        if not count and not lost:
            return None
        offsets = None if stride else ffi.buffer(self._offsets, 4 * (count + 1))
        return Batch(
            memoryview(ffi.buffer(buffer, size)),
            count,
            stride=stride or None,
            offsets=offsets and memoryview(bytes(offsets) if self._copy else offsets).cast("I"),
            schema=source.event.schemas[0],
            lost=lost,
            source=source.event.map,
            cpu=source.cpu,
            clean=source.single,
        )


def _error(ring: str, number: int) -> SkepError:
    if number == errno.ESTALE:
        return SkepError(
            f"another reader takes records from ring buffer {ring}",
            remedy="A ring buffer has one reader: each record goes to whoever comes first. Close the other one.",
        )
    return SkepError(f"the buffer of {ring} is corrupt", remedy="Please report this.")
