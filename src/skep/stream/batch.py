"""`Batch`: records of one kind as they came out of the kernel. Rows and arrays are views, made on demand."""

from __future__ import annotations

import struct
import sys
from array import array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from skep.base.schema import Field, Schema

__all__ = ["Batch"]

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Batch:
    """Records of one schema from one source, in the order in which the source gave them.

    Args:
        buffer: the records, back to back.
        count: how many.
        stride: the size of each in bytes, if all have the same; else None.
        offsets: count + 1 unsigned 32-bit numbers: record i lies at offsets[i] to offsets[i + 1].
        schema: their layout. A record may be shorter (a truncated tail) or longer (padding).
        lost: records of this source that the kernel dropped since the batch before.
        source: the map that they came from.
        cpu: the CPU whose buffer they came from; None where the CPUs share one.
    """

    __slots__ = ("buffer", "count", "cpu", "lost", "offsets", "schema", "source", "stride")

    def __init__(
        self,
        buffer: memoryview,
        count: int,
        *,
        stride: int | None,
        offsets: memoryview,
        schema: Schema,
        lost: int,
        source: str,
        cpu: int | None,
    ) -> None:
        self.buffer = buffer
        self.count = count
        self.stride = stride
        self.offsets = offsets
        self.schema = schema
        self.lost = lost
        self.source = source
        self.cpu = cpu

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"<Batch of {self.count} {self.schema.name} from {self.source}, {self.lost} lost>"

    def rows(self) -> Iterator[Any]:
        """The records as rows (see `skep.base.schema`)."""
        if self.schema.size and self.stride == self.schema.size:
            return self.schema.decode_all(self.buffer)
        decode, buffer, offsets = self.schema.decode, self.buffer, self.offsets
        return (decode(buffer[offsets[index] : offsets[index + 1]]) for index in range(self.count))

    def numbers(self, field: Field) -> list[int]:
        """The values of one integer field, as unsigned numbers, without decoding the others.

        What a record that was cut short lacks reads as zeros.
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
        return self.buffer[self.offsets[index] : self.offsets[index + 1]]

    def select(self, chosen: Sequence[int], schema: Schema | None = None) -> Batch:
        """A batch of some of the records.

        Args:
            chosen: their positions in this one.
            schema: their layout, if it is another.
        """
        parts = [self._record(index) for index in chosen]
        sizes = {len(part) for part in parts}
        places = array("I", [0])
        for part in parts:
            places.append(places[-1] + len(part))
        return Batch(
            memoryview(b"".join(parts)),
            len(parts),
            stride=sizes.pop() if len(sizes) == 1 else None,
            offsets=memoryview(places),
            schema=schema or self.schema,
            lost=self.lost,
            source=self.source,
            cpu=self.cpu,
        )

    @property
    def array(self) -> np.ndarray[Any, Any]:
        """The records as a NumPy structured array: over the buffer itself where all are whole, else a copy."""
        import numpy as np

        size, dtype = self.schema.size, self.schema.dtype
        if self.schema.is_raw:
            # As long as the longest; NumPy knows no elements without a size.
            size = max([1, *(len(self._record(index)) for index in range(self.count))])
            kind = "S" if self.schema.is_text else "V"
            dtype = np.dtype([(field.name, f"{kind}{size}") for field in self.schema.fields])
        if self.stride is not None and self.stride >= size:
            return np.ndarray(self.count, dtype, self.buffer, strides=(self.stride,))
        whole = bytearray(self.count * size)
        for index in range(self.count):
            record = self._record(index)[:size]
            whole[index * size : index * size + len(record)] = record
        return np.frombuffer(whole, dtype)

    def to_arrow(self) -> pa.Table:
        """The records as an Arrow table, one column a field; structs and arrays keep their shape. Imports pyarrow."""
        import pyarrow as pa

        return pa.Table.from_pylist([_plain(row) for row in self.rows()])

    def to_pandas(self) -> pd.DataFrame:
        """The records as a data frame. Imports pyarrow and pandas."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame


def _plain(value: Any) -> Any:
    """A row as a dict, and those within it; text that is not UTF-8 is escaped, since Arrow's strings have to be."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if hasattr(value, "_fields"):
        return {name: _plain(inner) for name, inner in zip(value._fields, value, strict=True)}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value
