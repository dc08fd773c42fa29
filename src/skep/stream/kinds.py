"""Records of several types on one ring, told apart in C: by a member that each program sets, else by their sizes."""

from __future__ import annotations

from skep._native import ffi, lib
from skep.stream.batch import Batch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.spec.events import EventSpec

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
        told, groups = self._apart(batch)
        ends = ffi.new("uint32_t[]", batch.count)
        start, lost, taken = 0, batch.lost, [0] * len(groups)
        for end in ends[0 : lib.skep_runs(told, batch.count, ends)]:
            kind = told[start]
            first, last = taken[kind], taken[kind] + end - start
            part = groups[kind].part(first, last)
            part.lost, lost = lost, 0
            yield part
            start, taken[kind] = end, last

    def groups(self, batch: Batch) -> Iterator[Batch]:
        """One batch of each type that occurs, with the place that each record has among all of them.

        Within a batch the records keep their order; what was lost goes with the first.
        """
        if len(self._schemas) == 1 or not batch.count:
            yield batch
            return
        lost = batch.lost
        for group in self._apart(batch)[1]:
            if group.count:
                group.lost, lost = lost, 0
                yield group

    def together(self, batch: Batch) -> Iterator[Batch]:
        """One batch whose rows are of all types, in their order; it has nothing but rows."""
        if len(self._schemas) == 1 or not batch.count:
            yield batch
            return
        told, groups = self._apart(batch)
        yield _Together(batch, memoryview(ffi.buffer(told)).cast("I"), groups)

    def _apart(self, batch: Batch) -> tuple[Any, list[Batch]]:
        """The type of each record, and one batch a type: of one size, each is decoded at once."""
        count, kinds = batch.count, len(self._schemas)
        told = ffi.new("uint32_t[]", count)
        lib.skep_tell(batch.records(), count, self._kinds, kinds, self._tags, told)
        positions, ends = ffi.new("uint32_t[]", count), ffi.new("uint32_t[]", kinds)
        lib.skep_group(told, count, kinds, positions, ends)
        places = memoryview(ffi.buffer(positions)).cast("I")
        groups = []
        start = 0
        for schema, end in zip(self._schemas, ends, strict=True):
            group = batch.select(places[start:end], schema)
            group.order = places[start:end]
            groups.append(group)
            start = end
        return told, groups


class _Together(Batch):
    __slots__ = ("_groups", "_told")

    def __init__(self, batch: Batch, told: memoryview, groups: list[Batch]) -> None:
        super().__init__(
            batch.buffer,
            batch.count,
            stride=batch.stride,
            offsets=batch.offsets,
            schema=batch.schema,
            lost=batch.lost,
            source=batch.source,
            cpu=batch.cpu,
        )
        self._told = told
        self._groups = groups

    def rows(self) -> Iterator[Any]:
        """The records as rows, each of its own type."""
        following = [iter(group.rows()).__next__ for group in self._groups]
        return (following[kind]() for kind in self._told)

    def values(self) -> Iterator[tuple[Any, ...]]:
        """The same: rows are tuples."""
        return self.rows()
