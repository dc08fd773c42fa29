"""`Batch`: records of one kind as they came out of the kernel. Rows and arrays are views, made on demand."""

from __future__ import annotations

import struct
import sys
from array import array

from skep._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from skep.base.schema import Field, Schema

__all__ = ["Batch", "marked_texts"]

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


def marked_texts(texts: Sequence[tuple[int, int]]) -> Any:
    """The texts of a schema's records as C takes them.

    Args:
        texts: the offset and size of each, by offset.
    """
    pieces = -(-sum(texts[-1]) // 64) if texts else 0
    marked = ffi.new("struct skep_texts[]", pieces)
    lib.skep_mark_texts([number for text in texts for number in text], len(texts), marked, pieces)
    return marked


class Batch:
    """Records of one schema from one source, in the order in which the source gave them.

    Args:
        buffer: the records, back to back.
        count: how many; 0 where there is only a loss to tell.
        stride: the size of each in bytes, if all have the same; else None.
        offsets: count + 1 unsigned 32-bit numbers: record i lies at offsets[i] to offsets[i + 1]. None where the stride
            tells.
        schema: their layout. A record may be shorter (a truncated tail) or longer (padding).
        lost: records of this source that the kernel dropped since the batch before.
        source: the map that they came from.
        cpu: the CPU whose buffer they came from; None where the CPUs share one, or their records were merged.
        clean: whether what stands behind the NUL of texts is zeros already.

    `order` is None, or, where the source has several types of records and they were grouped by type, the place of each
    record among all that were read together: unsigned 32-bit numbers.
    """

    __slots__ = ("_array", "_clean", "buffer", "count", "cpu", "lost", "offsets", "order", "schema", "source", "stride")

    def __init__(
        self,
        buffer: memoryview,
        count: int,
        *,
        stride: int | None,
        offsets: memoryview | None,
        schema: Schema,
        lost: int,
        source: str,
        cpu: int | None,
        clean: bool = False,
    ) -> None:
        self.buffer = buffer
        self.count = count
        self.stride = stride
        self.offsets = offsets
        self.schema = schema
        self.lost = lost
        self.source = source
        self.cpu = cpu
        self.order: memoryview | None = None
        self._clean = clean
        self._array: np.ndarray[Any, Any] | None = None

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"<Batch of {self.count} {self.schema.name} from {self.source}, {self.lost} lost>"

    def rows(self) -> Iterator[Any]:
        """The records as rows (see `skep.base.schema`)."""
        if self.schema.is_raw:
            return map(self.schema.decode, map(self._record, range(self.count)))
        return self.schema.decode_all(self._even())

    def values(self) -> Iterator[tuple[Any, ...]]:
        """The same without the names, as plain tuples, which takes three quarters of the time."""
        return self.rows() if self.schema.is_raw else self.schema.values(self._even())

    def tuples(self) -> Iterator[tuple[Any, ...]]:
        """The records as plain tuples of what the kernel wrote, the quickest way to Python's own objects.

        Numbers are numbers, texts are bytes with what stands behind their NUL, the members of structs stand among the
        others, and members that overlap are the bytes of all of them.
        """
        return self.schema.items(self._even())

    def numbers(self, field: Field) -> list[int]:
        """The values of one integer field, as unsigned numbers, without decoding the others.

        What a record that was cut short lacks reads as zeros.

        Args:
            field: of the schema.
        """
        first, last, stride = field.offset, field.offset + field.size, self.stride or 0
        if last <= stride and field.size in _CODES:
            layout = struct.Struct(f"={first}x{_CODES[field.size]}{stride - last}x")
            return [number for (number,) in layout.iter_unpack(self.buffer)]
        return [
            int.from_bytes(self._record(index)[first:last].tobytes().ljust(field.size, b"\0"), sys.byteorder)
            for index in range(self.count)
        ]

    def _record(self, index: int) -> memoryview:
        if self.offsets is not None:
            return self.buffer[self.offsets[index] : self.offsets[index + 1]]
        assert self.stride is not None, "a batch has a stride or offsets"
        return self.buffer[index * self.stride : (index + 1) * self.stride]

    def records(self) -> Any:
        """The records as C takes them, for as long as this batch lives."""
        places = ffi.NULL if self.offsets is None else ffi.from_buffer("uint32_t[]", self.offsets)
        return ffi.new("struct skep_records *", (ffi.from_buffer(self.buffer), places, self.stride or 0))

    def select(self, chosen: Sequence[int], schema: Schema | None = None) -> Batch:
        """A batch of some of the records.

        Args:
            chosen: their positions in this one.
            schema: their layout, if it is another.

        Raises:
            IndexError: this one has no such position.
        """
        positions = chosen if isinstance(chosen, memoryview) else array("I", chosen)
        count = len(positions)
        if count and max(positions) >= self.count:
            raise IndexError(f"a batch of {self.count} records has none at {max(positions)}")
        chosen_ = ffi.from_buffer("uint32_t[]", positions)
        offsets = ffi.new("uint32_t[]", count + 1)
        records = self.records()
        copy = bytearray(lib.skep_gather(records, chosen_, count, ffi.NULL, ffi.NULL, 0))
        lib.skep_gather(records, chosen_, count, ffi.from_buffer(copy), offsets, 0)
        stride = self.stride or lib.skep_stride(offsets, count)
        return self._like(
            memoryview(copy),
            count,
            stride=stride or None,
            offsets=None if stride else memoryview(ffi.buffer(offsets)).cast("I"),
            schema=schema,
        )

    def part(self, start: int, end: int) -> Batch:
        """A batch of some of the records, over the same memory.

        Args:
            start: the position of the first.
            end: that after the last.
        """
        if self.offsets is None:
            assert self.stride is not None, "a batch has a stride or offsets"
            part = self.buffer[start * self.stride : end * self.stride]
            return self._like(part, end - start, stride=self.stride, offsets=None)
        places = self.offsets[start : end + 1]
        stride = lib.skep_stride(ffi.from_buffer("uint32_t[]", places), end - start)
        part = self.buffer[places[0] : places[end - start]] if stride else self.buffer
        return self._like(part, end - start, stride=stride or None, offsets=None if stride else places)

    def _like(
        self,
        buffer: memoryview,
        count: int,
        *,
        stride: int | None,
        offsets: memoryview | None,
        schema: Schema | None = None,
    ) -> Batch:
        return Batch(
            buffer,
            count,
            stride=stride,
            offsets=offsets,
            schema=schema or self.schema,
            lost=self.lost,
            source=self.source,
            cpu=self.cpu,
            clean=self._clean,
        )

    @property
    def array(self) -> np.ndarray[Any, Any]:
        """The records as a NumPy structured array: over the buffer itself where all are whole, else a copy.

        What a program left behind the NUL of a text is zeros here, since NumPy's texts end at their last byte that is
        none. The reader of a ring with one type of records sees to it as it reads; else they are written here, into the
        buffer where the array is no copy. What a record that was cut short lacks is zeros.
        """
        if self._array is None:
            self._array = self._as_array()
        return self._array

    def _as_array(self) -> np.ndarray[Any, Any]:
        import numpy as np

        size, dtype = self.schema.size, self.schema.dtype
        if self._clean and self.stride == size:
            return np.ndarray(self.count, dtype, self.buffer)
        texts = () if self._clean else self.schema.texts
        if self.schema.is_raw:
            # As long as the longest; NumPy knows no elements without a size.
            size = max([1, *(len(self._record(index)) for index in range(self.count))])
            kind = "S" if self.schema.is_text else "V"
            dtype = np.dtype([(field.name, f"{kind}{size}") for field in self.schema.fields])
        stride, buffer = self.stride or 0, self.buffer
        if stride < size or (texts and buffer.readonly):
            stride, buffer = size, memoryview(self._whole(size))
        if texts:
            marked = marked_texts(texts)
            lib.skep_clean(ffi.from_buffer(buffer), stride, self.count, marked, len(marked))
        return np.ndarray(self.count, dtype, buffer, strides=(stride,))

    def _even(self) -> memoryview:
        """The records, each of exactly its type's size."""
        return self.buffer if self.stride == self.schema.size else memoryview(self._whole())

    def _whole(self, size: int = 0) -> bytearray:
        """The records in places of one size: cut off, or filled up with zeros."""
        size = size or self.schema.size
        whole = bytearray(self.count * size)
        lib.skep_gather(self.records(), ffi.NULL, self.count, ffi.from_buffer(whole), ffi.NULL, size)
        return whole

    def to_arrow(self, clocks: Mapping[str, int] | None = None) -> pa.Table:
        """The records as an Arrow table, one column a field. Imports pyarrow.

        Texts are dictionary-encoded, moments are timestamps in UTC (null where they are zero), spans of time durations,
        addresses of the network bytes in network order; structs and arrays keep their shape. What no Arrow type holds
        stays what it is in rows.

        Args:
            clocks: nanoseconds from each of the kernel's clocks to the Unix epoch, by the meaning that its moments
                have; None: as they are now.
        """
        from skep.base.arrow import texts_to_arrow, to_table
        from skep.kernel.clocks import clocks as running

        if not self.schema.is_raw:
            return to_table(self.schema, self.array, running() if clocks is None else clocks)
        import pyarrow as pa

        records = [bytes(self._record(index)) for index in range(self.count)]
        column = texts_to_arrow(records) if self.schema.is_text else pa.array(records, pa.binary())
        return pa.table({self.schema.fields[0].name: column})

    def to_pandas(self) -> pd.DataFrame:
        """The records as a data frame. Imports pyarrow and pandas."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame
