"""What a table does with all of its entries at once: they are read and written as NumPy arrays and Arrow tables."""

from __future__ import annotations

from skep.base.errors import MapError, UsageError
from skep.kernel.map import Map
from skep.kernel.maps.failures import failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    import pyarrow as pa

    from skep.base.schema import Type

    Array = np.ndarray[Any, Any]

__all__ = ["Whole"]

_EBUSY = 16
_REDUCTIONS = ("list", "sum", "max")


class Whole(Map):
    """A map whose entries can be read and written thousands at a time.

    Minimum kernel: 5.6 for hashes and arrays, 5.13 for per-CPU arrays; else it is done entry by entry.
    """

    # How often entries were deleted through this map, for walks to notice.
    _deletions = 0

    def to_array(self, *, take: bool = False, cpus: str = "list") -> tuple[Array, Array]:
        """All keys and all values, as two NumPy arrays in the same order: the kernel's.

        Args:
            take: deletes the entries as they are read, so that none is counted twice or lost between two readings.
                Where the kernel refuses to go on, those that were taken are given, and the others stay for the next
                reading, which tells the error if it lasts.
            cpus: of a map with a value for each CPU: ``list`` gives all of them, as the second dimension; ``sum`` adds
                them up and ``max`` takes the largest, number by number. A sum has the type of its numbers, and wraps
                round where they have no room for it.

        Raises:
            UsageError: there is no such word, or values that are no integers are to be added up.
            MapError: the kernel refuses it, or programs change the map faster than it can be walked.
        """
        from skep.kernel.bulk import read_entries, reduce_cpus

        if cpus not in _REDUCTIONS:
            raise UsageError(f"cpus={cpus!r}: it is one of {', '.join(_REDUCTIONS)}")
        count = getattr(self, "cpus", 0)
        try:
            keys, values = read_entries(
                self.fd, self.key_type, self.value_type, limit=self.max_entries, cpus=count, take=take
            )
        except OSError as error:
            raise self._refused(error, "delete" if take else "read") from None
        if take:
            self._deletions += 1
        if count and cpus != "list":
            values = reduce_cpus(values, self.value_type, largest=cpus == "max")
        return keys, values

    def to_arrow(self, *, take: bool = False, cpus: str = "list") -> pa.Table:
        """All entries as an Arrow table of two columns, ``key`` and ``value``; `flatten()` makes members columns.

        Args:
            take: as for `to_array`.
            cpus: as for `to_array`.
        """
        import pyarrow as pa

        from skep.base.arrow import to_column
        from skep.kernel.clocks import clocks

        keys, values = self.to_array(take=take, cpus=cpus)
        offsets = clocks()
        listed = cpus == "list" and hasattr(self, "cpus")
        flat = values.reshape(-1, *values.shape[2:]) if listed else values
        column = to_column(self.value_type, None, flat, offsets)
        if listed:
            column = pa.FixedSizeListArray.from_arrays(column, values.shape[1])
        return pa.table({"key": to_column(self.key_type, None, keys, offsets), "value": column})

    def write_array(self, keys: Array, values: Array, flags: int = 0) -> None:
        """Writes many entries; what is there is overwritten.

        Args:
            keys: an array of the keys' dtype, as `to_array` gives it, or of numbers that fit into it.
            values: an array of the values' dtype, as many, or of numbers that fit.
            flags: `ANY`, `NOEXIST` or `EXIST`.

        Raises:
            UsageError: the arrays differ in length, are not of these types and shapes, or hold what does not fit.
            MapError: the kernel refuses an entry: those before it are written.
        """
        from skep.kernel.bulk import write_entries

        keys, values = self._typed("keys", self.key_type, keys), self._typed("values", self.value_type, values)
        if len(keys) != len(values):
            raise UsageError(f"{len(keys)} keys and {len(values)} values for map {self.name}")
        try:
            write_entries(self.fd, self.key_type, self.value_type, keys, values, flags)
        except OSError as error:
            raise self._refused(error, "write") from None

    def delete_array(self, keys: Array) -> int:
        """Deletes many entries; those that are not there are passed over.

        Args:
            keys: as for `write_array`.

        Returns:
            How many were there.

        Raises:
            UsageError: the keys are not of their type and shape, or do not fit into it.
            MapError: the kernel refuses it.
        """
        from skep.kernel.bulk import delete_keys

        typed = self._typed("keys", self.key_type, keys)
        self._deletions += 1
        try:
            return delete_keys(self.fd, self.key_type, typed)
        except OSError as error:
            raise self._refused(error, "delete") from None

    def _typed(self, what: str, held: Type, values: Any) -> Array:
        """The values as an array over whose memory the kernel may go: of this type, shape and order."""
        import numpy as np

        from skep.base.schema import dtype_of

        if what == "values" and (count := getattr(self, "cpus", 0)):
            raise UsageError(f"map {self.name} has {count} values for each key: write them one by one")
        # An array of values that are arrays has their dimensions, too.
        like = np.empty(0, dtype_of(held))
        dtype, shape, told = like.dtype, like.shape[1:], f"the {what} of {self.name} are {held.name}"
        try:
            array = np.asarray(values)
        except ValueError as error:
            raise UsageError(f"{told}: {error}") from None
        if not array.ndim or array.shape[1:] != shape:
            wanted = ", ".join(map(str, ("N", *shape)))
            raise UsageError(f"{told}: N of them have the shape ({wanted}), not {array.shape}")
        if array.dtype.kind in "iu" and dtype.kind in "iu":
            room = np.iinfo(dtype)
            for number in (int(array.min()), int(array.max())) if array.size else ():
                if not room.min <= number <= room.max:
                    raise UsageError(f"{told}: {number} does not fit")
        # A text that is too long would be cut; a number only loses digits where it has a point.
        elif array.dtype != dtype and (
            dtype.names or not np.can_cast(array.dtype, dtype, "same_kind" if dtype.kind == "f" else "safe")
        ):
            raise UsageError(f"{told}: {dtype}, not {array.dtype}")
        return np.ascontiguousarray(array, dtype)

    def _refused(self, error: OSError, doing: str) -> Exception:
        if error.errno == _EBUSY:
            return MapError(f"map {self.name} changes faster than it can be walked", _EBUSY)
        return failure(self, error.errno or 0, doing, None)
