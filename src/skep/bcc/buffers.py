"""Tables that carry records to a script's callbacks: perf_output and ringbuf; and perf_array, which holds counters.

The records come in batches, as everywhere in skep (`skep.stream.reader`); a callback is called for each, with its
address. What a callback raises comes out of the poll, and the records behind it stay for the next one.
"""

from __future__ import annotations

import ctypes
import os
import sys

from skep.base.errors import UnsupportedError, UsageError
from skep.base.schema import Field, Type
from skep.bcc.backed import Backed
from skep.bcc.layout import from_address, structure
from skep.bcc.table import Array
from skep.kernel.features import online_cpus
from skep.kernel.link.perf_event import open_event
from skep.stream.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from skep.bcc.module import Module
    from skep.kernel.map import Map
    from skep.stream.batch import Batch

__all__ = ["PerfEventArray", "RingBuf"]

_CHARACTER = Type("int", 1, "char")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Stream:
    """The records of one table, and what is called for each.

    Args:
        module: that the table belongs to.
        name: of the table.
        call: takes the CPU, the address and the size of a record.
        lost: takes how many were lost.
        room: bytes of a perf buffer for each CPU.
    """

    def __init__(
        self,
        module: Module,
        name: str,
        call: Callable[[int, int, int], Any],
        lost: Callable[[int], Any],
        room: int,
    ) -> None:
        self._reader = Reader(module.object, only=name, room=room)
        self._call = call
        self._lost = lost
        self._records: Iterator[tuple[int, int, int]] = iter(())

    def fileno(self) -> int:
        return self._reader.fileno()

    def close(self) -> None:
        self._reader.close()

    def deliver(self) -> None:
        """Calls for each record that is there now."""
        # Those that a callback left behind come first.
        for records in (self._records, self._waiting()):
            self._records = records
            for cpu, address, size in records:
                result = self._call(cpu, address, size)
                # As with libbpf, whoever gives a negative number wants no more for now.
                if isinstance(result, int) and result < 0:
                    return

    def _waiting(self) -> Iterator[tuple[int, int, int]]:
        for batch in self._reader.rest():
            yield from _places(batch)
            if batch.lost:
                self._lost(batch.lost)


def _places(batch: Batch) -> Iterator[tuple[int, int, int]]:
    """The CPU, the address and the size of each record, while the batch lives."""
    if not batch.count:
        return
    first = ctypes.addressof(ctypes.c_char.from_buffer(batch.buffer))
    offsets = batch.offsets or range(0, (batch.stride or 0) * (batch.count + 1), batch.stride or 1)
    cpu = 0 if batch.cpu is None else batch.cpu
    for index in range(batch.count):
        yield cpu, first + offsets[index], offsets[index + 1] - offsets[index]


class _Records(Backed):
    """What tables with records have in common.

    Args:
        map_: the map.
        kind: what BCC calls it.
        module: that it belongs to.
    """

    def __init__(self, map_: Map, kind: str, keytype: Any, leaftype: Any, module: Module) -> None:
        super().__init__(map_, kind, keytype, leaftype)
        self._module = module
        self._event: Any = None
        self._size: tuple[int, int] | None = None
        self.stream: _Stream | None = None

    def event(self, data: int) -> Any:
        """A record as the struct that programs send.

        Args:
            data: its address, as a callback gets it.

        Raises:
            UnsupportedError: the text does not say what they send.
        """
        if self._event is None:
            self._event = self._record_type()
        address, size = self._size or (0, 0)
        return from_address(self._event, data, size if data == address else None)

    def _record_type(self) -> Any:
        found = self._module.spec.events.get(self.map.name)
        schemas = [] if found is None else [schema for schema in found.schemas if not schema.is_raw]
        if len(schemas) != 1:
            raise UnsupportedError(
                f"what is sent through {self.map.name} cannot be told from the text: {len(schemas)} types would do",
                remedy="Cast the data to a ctypes.Structure of your own: ctypes.cast(data, ctypes.POINTER(Data)).",
            )
        fields = [_as_sent(field) for field in schemas[0].fields]
        return structure(schemas[0].name, fields, schemas[0].size)

    def _open(self, call: Callable[[int, int, int], Any], lost: Callable[[int], Any], room: int = _PAGE) -> None:
        def noted(cpu: int, address: int, size: int) -> Any:
            self._size = (address, size)
            return call(cpu, address, size)

        if self.stream is not None:
            raise UsageError(f"the buffer of {self.map.name} is open already")
        self.stream = _Stream(self._module, self.map.name, noted, lost, room)

    def close(self) -> None:
        """Closes the buffer."""
        if self.stream is not None:
            self.stream.close()
            self.stream = None


class PerfEventArray(_Records, Array):
    """perf_output, with a buffer for each CPU; or perf_array, with a counter for each."""

    def __init__(self, map_: Map, kind: str, keytype: Any, leaftype: Any, module: Module) -> None:
        super().__init__(map_, kind, keytype, leaftype, module)
        self._events: list[int] = []

    def open_perf_buffer(
        self,
        callback: Callable[[int, int, int], Any],
        page_cnt: int = 8,
        lost_cb: Callable[[int], Any] | None = None,
        wakeup_events: int = 1,  # noqa: ARG002 - a record more or less to a wake-up changes nothing
    ) -> None:
        """Opens the buffers: `BPF.perf_buffer_poll` calls for what is in them.

        Args:
            callback: takes the CPU, the address and the size of a record.
            page_cnt: pages for each CPU, a power of two.
            lost_cb: takes how many records found no room; without it a line on stderr tells.
            wakeup_events: records to a wake-up.

        Raises:
            UsageError: the pages are no power of two.
        """
        if page_cnt <= 0 or page_cnt & (page_cnt - 1):
            raise UsageError("Perf buffer page_cnt must be a power of two")
        self._open(callback, lost_cb or _lost, page_cnt * _PAGE)

    def open_perf_event(self, typ: int, config: int, pid: int = -1) -> None:
        """Puts a counter in for each CPU that is online.

        Args:
            typ: of `PerfType`.
            config: the event.
            pid: the process that is counted; -1 for all.

        Raises:
            UnsupportedError: nothing on this machine counts it.
        """
        for cpu in online_cpus():
            try:
                opened = open_event(typ, config, [(pid, cpu)])
            except OSError as error:
                raise UnsupportedError(f"event {typ}:{config} cannot be counted: {error.strerror}") from error
            self._events += opened
            for fd in opened:
                self.raw[self._key(cpu)] = fd

    def __delitem__(self, key: Any) -> None:
        del self.raw[self._key(key)]

    def close(self) -> None:
        """Closes the buffers and the counters."""
        super().close()
        for fd in self._events:
            os.close(fd)
        self._events = []


class RingBuf(_Records):
    """ringbuf: one buffer for all CPUs."""

    def open_ring_buffer(self, callback: Callable[[Any, int, int], Any], ctx: Any = None) -> None:
        """Opens the buffer: `BPF.ring_buffer_poll` calls for what is in it.

        Args:
            callback: takes `ctx`, the address and the size of a record. A negative number ends the poll.
            ctx: what the callback gets first.
        """
        self._open(lambda _, address, size: callback(ctx, address, size), _lost)


def _as_sent(field: Field) -> Field:
    """A member of a record: of these, unlike of keys and values, BCC takes an s8 for a character."""
    is_character = field.type.name == "s8"
    return Field(field.name, field.offset, field.size, _CHARACTER, field.meaning) if is_character else field


def _lost(count: int) -> None:
    sys.stderr.write(f"Possibly lost {count} samples\n")
