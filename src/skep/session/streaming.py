"""`Batches` and `Events`: what an object sends, for `for` in one thread or several, and for `async for`."""

from __future__ import annotations

from _thread import RLock

from skep.base.closing import Closing
from skep.base.errors import ClosedError
from skep.kernel.held import Held
from skep.session.stop import Stop
from skep.stream.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator
    from typing import Any

    from skep.kernel.link import Links
    from skep.session.loaded import Object
    from skep.stream.batch import Batch

__all__ = ["Batches", "Events"]

# What `close` says of it.
_CLOSED = "is closed"


class Batches(Held):
    """What the rings of an object send, in batches, as they come. Made by `Object.batches`.

    It can be iterated once, with `for` or `async for`. Several threads may iterate over the same one: each batch goes
    to one of them. Two over one object would take records from each other: the second is refused while somebody waits
    for those of the first, and else ends the first.

    Args:
        loaded: the object.
        links: what is attached.
        timeout: ends after so many seconds; None for never.
        options: of the reader.

    Minimum kernel: 5.8 for ring buffers. Source: kernel/bpf/ringbuf.c.
    """

    def __init__(self, loaded: Object, links: Links | None, timeout: float | None, options: dict[str, Any]) -> None:
        self._loaded = loaded
        self._reading = _Reading(loaded, links, timeout, options)
        self._lock = RLock()
        # Whether an event loop iterates over it, and whether that waits for records: one that was left does not.
        self._in_loop = self._waits = False
        self._batches: Generator[Batch, None, None] | None = None
        self._hold()

    def _told(self) -> str:
        return f"Batches of {self._loaded.spec.name}"

    def __del__(self) -> None:
        # One that a loop has left is no leak.
        self.close()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        # Before the lock, which in a fork nobody may be left to let go of; behind it, for what has become of it.
        self._go_on()
        with self._lock:
            self._go_on()
            if self._batches is None:
                self._loaded.enter(self)
                self._batches = self._reading.batches()
            try:
                batch = next(self._batches, None)
            except ClosedError:
                # A signal handler has closed the object, which is an end like any other.
                if self._gone != _CLOSED:
                    raise
                batch = None
            finally:
                if self.closed:
                    # By a signal handler, which had to leave open what was to wake us.
                    self._reading.stop.close()
        if batch is None:
            self.close()
            raise StopIteration
        return batch

    def _go_on(self) -> None:
        if self._gone == _CLOSED:
            raise StopIteration
        self.check()

    async def __aiter__(self) -> AsyncIterator[Batch]:
        self.check()
        self._loaded.enter(self)
        self._in_loop = self._waits = True
        try:
            async for batch in self._reading.batches_later():
                self._waits = False
                yield batch
                self._waits = True
                if self._gone != _CLOSED:
                    self.check()
        except ClosedError:
            # The object was closed meanwhile, which is an end like any other.
            if self._gone != _CLOSED:
                raise
        finally:
            self._in_loop = self._waits = False
            self.close()
            self._reading.stop.close()

    def close(self) -> None:
        """Ends it: whoever waits for records, in another thread too, waits no more."""
        if not self.closed:
            self._reading.stop.request()
            with self._lock:
                super().close()

    def give_way(self) -> bool:
        """Ends it, so that another reading of the object can begin; not if somebody waits for its records."""
        if self._waits or not self._lock.acquire(blocking=False):
            return False
        try:
            if self._end("was ended: another reading of the same object has begun"):
                self._release()
        finally:
            self._lock.release()
        return True

    def _release(self) -> None:
        self._loaded.leave(self)
        if self._batches is not None:
            try:
                self._batches.close()
            except ValueError:
                return  # it runs: this is a signal handler within it, and it ends by itself once it is woken
        # A loop has yet to be woken by it.
        if not self._in_loop:
            self._reading.stop.close()

    def _abandon(self) -> None:
        """In a fork there is nobody who could let go of the lock."""


class _Reading:
    """How the batches are read: apart, so that nothing but a loop holds a `Batches`, which ends with it."""

    __slots__ = ("_links", "_loaded", "_options", "_timeout", "stop")

    def __init__(self, loaded: Object, links: Links | None, timeout: float | None, options: dict[str, Any]) -> None:
        self._loaded = loaded
        self._links = links
        self._timeout = timeout
        self._options = options
        self.stop = Stop()

    def batches(self) -> Generator[Batch, None, None]:
        with Reader(self._loaded, **self._options) as reader:
            reader.watch(self.stop.fd)
            if self._waits:
                yield from reader.batches(self._timeout, self._ended)
            yield from self._last(reader)

    async def batches_later(self) -> AsyncIterator[Batch]:
        with Reader(self._loaded, **self._options) as reader:
            reader.watch(self.stop.fd)
            if self._waits:
                async for batch in reader.batches_later(self._timeout, self._ended):
                    yield batch
            for batch in self._last(reader):
                yield batch

    @property
    def _waits(self) -> bool:
        return self._links is None or self._loaded.waits(self._links)

    def _ended(self) -> bool:
        return self.stop.requested

    def _last(self, reader: Reader) -> Iterator[Batch]:
        """What is there where nothing is waited for, and what iterators find."""
        if not self._waits:
            yield from reader.rest()
        if self._links is not None and not self._ended():
            yield from self._loaded.walk(self._links)


class Events(Closing):
    """What the rings of an object send, record by record, as rows. Made by `Object.events`.

    It is iterated as `Batches` are. A loop that was left can be gone on with, by `next` or by another loop.

    Args:
        batches: that the records come in.

    Minimum kernel: 5.8 for ring buffers. Source: kernel/bpf/ringbuf.c.
    """

    __slots__ = ("_batches", "_left")

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        # Rows of batches that loops have begun and left.
        self._left: list[Iterator[Any]] = []

    def __repr__(self) -> str:
        return repr(self._batches).replace("Batches", "Events", 1)

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                rows = self._left.pop()  # in one step: several threads may ask
            except IndexError:
                batch = next(self._batches, None)
                if batch is None:
                    return
                rows = batch.rows()
            try:
                # Not `yield from`, which would end the rows with a loop that is left.
                for row in rows:  # noqa: UP028
                    yield row
            except GeneratorExit:
                self._left.append(rows)
                raise

    def __next__(self) -> Any:
        for row in self:
            return row
        raise StopIteration

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for batch in self._batches:
            for row in batch.rows():
                yield row

    def close(self) -> None:
        """Ends it: whoever waits for records, in another thread too, waits no more."""
        self._batches.close()
        self._left.clear()
