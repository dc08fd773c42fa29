"""Records of several types on one ring, told apart in C: by a member that each program sets, else by their sizes."""

from __future__ import annotations

from skep._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.spec.events import EventSpec
    from skep.stream.batch import Batch

__all__ = ["Kinds"]


class Kinds:
    """The types of the records of one ring.

    Args:
        event: the ring's records.
    """

    __slots__ = ("_kinds", "_schemas", "_tag_values", "_tags")

    def __init__(self, event: EventSpec) -> None:
        self._schemas = sorted(event.schemas, key=lambda schema: schema.size)
        self._kinds = ffi.new("struct skep_kind[]", [(event.sent_size(each), each.size) for each in self._schemas])
        self._tags = self._tag_values = ffi.NULL
        if event.tag is not None:
            field = event.tag.field
            values = [(value, self._schemas.index(schema)) for value, schema in event.tag.schemas.items()]
            self._tag_values = ffi.new("struct skep_tag[]", values)
            self._tags = ffi.new("struct skep_tags *", (field.offset, field.size, len(values), self._tag_values))

    def runs(self, batch: Batch) -> Iterator[Batch]:
        """Batches of one type each, in the order of the records; what was lost goes with the first."""
        if len(self._schemas) == 1 or not batch.count:
            yield batch
            return
        told = self._tell(batch)
        ends = ffi.new("uint32_t[]", batch.count)
        start, lost = 0, batch.lost
        for run in range(lib.skep_runs(told, batch.count, ends)):
            part = batch.part(start, ends[run], self._schemas[told[start]])
            part.lost, lost = lost, 0
            yield part
            start = ends[run]

    def groups(self, batch: Batch) -> Iterator[Batch]:
        """One batch of each type that occurs, with the place that each record has among all of them.

        Within a batch the records keep their order; what was lost goes with the first.
        """
        if len(self._schemas) == 1 or not batch.count:
            yield batch
            return
        told = self._tell(batch)
        positions, ends = ffi.new("uint32_t[]", batch.count), ffi.new("uint32_t[]", len(self._schemas))
        lib.skep_group(told, batch.count, len(self._schemas), positions, ends)
        places = memoryview(ffi.buffer(positions)).cast("I")
        start, lost = 0, batch.lost
        for schema, end in zip(self._schemas, ends, strict=True):
            if end > start:
                order = places[start:end]
                group = batch.select(order, schema)
                group.order = order
                group.lost, lost = lost, 0
                yield group
            start = end

    def _tell(self, batch: Batch) -> Any:
        told = ffi.new("uint32_t[]", batch.count)
        lib.skep_tell(batch.records(), batch.count, self._kinds, len(self._schemas), self._tags, told)
        return told
