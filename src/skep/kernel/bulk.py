"""Maps read and written whole, as arrays: the kernel gives thousands of entries at a time. Imports NumPy.

Minimum kernel: 5.6 for hashes and arrays, 5.13 for per-CPU arrays; without batches, entries are read one by one.
Source: kernel/bpf/hashtab.c, kernel/bpf/syscall.c (generic_map_lookup_batch).
"""

from __future__ import annotations

import os

import numpy as np

from skep._native import ffi, lib
from skep.base.errors import UsageError
from skep.base.schema import dtype_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from skep.base.schema import Type

    Array = np.ndarray[Any, Any]

__all__ = ["delete_keys", "read_entries", "reduce_cpus", "write_entries"]

# Room for entries that programs add while a map is read: a walk that finds more goes round in circles.
_MARGIN = 2


def read_entries(
    fd: int, key: Type, value: Type, *, limit: int, cpus: int = 0, take: bool = False
) -> tuple[Array, Array]:
    """The keys and values of a map, in the kernel's order.

    Args:
        fd: the map's.
        key: the type of its keys.
        value: the type of its values.
        limit: how many entries it has room for; 0 where that is not known.
        cpus: how many values an entry has, if it has one for each CPU: the second dimension of the values.
        take: deletes what is read.

    Raises:
        OSError: the kernel refuses it; with EBUSY where programs change it faster than it can be walked.
    """
    stride = -(-value.size // 8) * 8 if cpus else value.size
    entries = ffi.new("struct skep_entries *", {"key_size": key.size, "value_size": stride * (cpus or 1)})
    error = lib.skep_map_read(fd, take, _MARGIN * limit, entries)
    # Arrays keep the memory that they lie over; it goes with the last of them.
    keys, values = (ffi.gc(ffi.cast("char *", memory), lib.skep_free) for memory in (entries.keys, entries.values))
    if error:
        raise OSError(-error, os.strerror(-error))
    count = entries.count
    read = np.ndarray(count, np.dtype(dtype_of(key)), _over(keys, count * key.size))
    memory = _over(values, count * entries.value_size)
    dtype = np.dtype(dtype_of(value))
    if not cpus:
        return read, np.ndarray(count, dtype, memory)
    # An array of values that are arrays has their dimensions, too.
    within = np.empty(dtype.shape, dtype.base)
    strides = (stride * cpus, stride, *within.strides)
    return read, np.ndarray((count, cpus, *within.shape), dtype.base, memory, strides=strides)


def _over(memory: Any, size: int) -> memoryview:
    return memoryview(ffi.buffer(memory, size)) if size else memoryview(bytearray())


def write_entries(fd: int, key: Type, value: Type, keys: Array, values: Array, flags: int = 0) -> int:
    """Writes entries of a map.

    Args:
        fd: the map's.
        key: the type of its keys.
        value: the type of its values.
        keys: contiguous, of the dtype and shape of its keys.
        values: contiguous, of the dtype and shape of its values, as many.
        flags: as for `bpf_map_update_elem`.

    Returns:
        How many were written.

    Raises:
        OSError: the kernel refuses one; those before it are written.
    """
    return _change(lambda entries: lib.skep_map_write(fd, entries, flags), (key, keys), (value, values))


def delete_keys(fd: int, key: Type, keys: Array) -> int:
    """Deletes entries of a map; those that it does not have are passed over.

    Args:
        fd: the map's.
        key: the type of its keys.
        keys: contiguous, of the dtype and shape of its keys.

    Returns:
        How many were deleted.

    Raises:
        OSError: the kernel refuses it.
    """
    return _change(lambda entries: lib.skep_map_delete(fd, entries), (key, keys))


def _change(change: Callable[[Any], int], *parts: tuple[Type, Array]) -> int:
    (key, keys), (value, values) = parts[0], parts[-1]
    lent = [ffi.from_buffer(array.view(np.uint8) if array.size else bytearray(1)) for array in (keys, values)]
    entries = ffi.new("struct skep_entries *", (key.size, value.size, len(keys), len(keys), *lent))
    error = change(entries)
    if error:
        raise OSError(-error, os.strerror(-error))
    return int(entries.count)


def reduce_cpus(values: Array, value: Type, *, largest: bool = False) -> Array:
    """One value for each entry in place of one for each CPU: their sum, number by number.

    Args:
        values: as `read_entries` gives them.
        value: their type.
        largest: the largest of each number instead.

    Raises:
        UsageError: they hold something that is no integer.
    """
    numbers = ffi.new("struct skep_number[]", list(_numbers(value, 0)))
    reduced = np.zeros((len(values), *values.shape[2:]), values.dtype)
    if len(values):
        lib.skep_reduce(
            ffi.from_buffer(values.base),
            len(values),
            values.shape[1],
            values.strides[1],
            largest,
            numbers,
            len(numbers),
            ffi.from_buffer(reduced.view(np.uint8)),
            value.size,
        )
    return reduced


def _numbers(held: Type, base: int) -> Iterator[tuple[int, int, bool]]:
    """Offset, size and sign of each integer."""
    if held.kind in {"int", "enum"} and held.size <= 8:
        yield base, held.size, held.signed
    elif held.kind == "struct" and all(field.bits is None for field in held.fields):
        for field in held.fields:
            yield from _numbers(field.type, base + field.offset)
    elif held.kind == "array" and held.element is not None:
        for index in range(held.count):
            yield from _numbers(held.element, base + index * held.element.size)
    else:
        raise UsageError(
            f"values that hold {held.name} cannot be put together",
            remedy='Take all of them: to_array(cpus="list").',
        )
