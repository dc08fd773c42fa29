"""Tables as BCC's scripts use them: mappings of ctypes keys to ctypes values, a class for each kind of map.

They read and write the bytes of a map of `skep.kernel`; what the bytes are, `skep.bcc.layout` says.
"""

from __future__ import annotations

import ctypes
from collections.abc import MutableMapping

from skep.base.abi.maps import MAP_TYPES
from skep.base.errors import EntryMissingError
from skep.bcc.backed import Backed, sized_by_the_text
from skep.bcc.histogram import LINEAR_SLOTS, LOG2_SLOTS, json_histogram, linear_histogram, log2_histogram
from skep.bcc.refusing import answer_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

__all__ = ["Array", "HashTable", "LpmTrie", "LruHash", "TableBase"]

_elsewhere = answer_for(
    "bcc.table",
    {
        **dict.fromkeys(("PerfEventArray", "RingBuf"), "buffers"),
        **dict.fromkeys(("CgroupArray", "LruPerCpuHash", "MapInMapArray", "MapInMapHash", "PerCpuArray"), "kinds"),
        **dict.fromkeys(("PerCpuHash", "ProgArray", "QueueStack", "StackTrace"), "kinds"),
    },
)


def __getattr__(name: str) -> Any:
    """What else scripts ask of the module: classes, and the numbers of kinds of maps."""
    kinds = {f"BPF_MAP_TYPE_{kind.upper()}": number for number, kind in MAP_TYPES.items()}
    return kinds[name] if name in kinds else _elsewhere(name)


class TableBase(Backed, MutableMapping["Any", "Any"]):
    """What all tables with keys can do."""

    def __getitem__(self, key: Any) -> Any:
        """The value of a key, as it is now.

        Raises:
            EntryMissingError: there is none (KeyError).
        """
        return self._read(self.Leaf, self.raw[self._key(key)])

    def __setitem__(self, key: Any, leaf: Any) -> None:
        with sized_by_the_text():
            self.raw[self._key(key)] = self._leaf(leaf)

    def __delitem__(self, key: Any) -> None:
        del self.raw[self._key(key)]

    def __contains__(self, key: object) -> bool:
        return self._key(key) in self.raw

    def __len__(self) -> int:
        return len(self.raw)

    def __iter__(self) -> Iterator[Any]:
        """The keys, as they are when the walk begins: entries may be deleted meanwhile."""
        return (self._read(self.Key, key) for key in list(self.raw.raw_keys()))

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    iter = __iter__

    def keys(self) -> Iterator[Any]:  # type: ignore[override]
        """The keys."""
        return iter(self)

    def iteritems(self) -> Iterator[tuple[Any, Any]]:
        """Keys and values; those that are deleted meanwhile are left out."""
        for key in self:
            try:
                yield key, self[key]
            except EntryMissingError:
                continue

    def itervalues(self) -> Iterator[Any]:
        """Values."""
        return (leaf for _, leaf in self.iteritems())

    def items(self) -> list[tuple[Any, Any]]:  # type: ignore[override]
        """Keys and values, as they are now."""
        return list(self.iteritems())

    def values(self) -> list[Any]:  # type: ignore[override]
        """Values, as they are now."""
        return list(self.itervalues())

    def clear(self) -> None:
        """Deletes all entries that are there."""
        for key in self:
            try:
                del self[key]
            except EntryMissingError:
                continue

    def zero(self) -> None:
        """Writes zeros to all entries that are there."""
        for key in self:
            self[key] = self.Leaf()

    def next(self, key: Any) -> Any:
        """The key behind one, or the first where that is not there, or None.

        Raises:
            StopIteration: it is the last.
        """
        keys = list(self.raw.raw_keys())
        after = keys.index(self._key(key)) + 1 if key is not None and self._key(key) in keys else 0
        if after == len(keys):
            raise StopIteration
        return self._read(self.Key, keys[after])

    def items_lookup_batch(self) -> Iterator[tuple[Any, Any]]:
        """Keys and values, read in batches."""
        return self._entries(*self.raw.to_array())

    def items_lookup_and_delete_batch(self) -> Iterator[tuple[Any, Any]]:
        """Keys and values, each deleted as it is read: none is counted twice, none is lost."""
        return self._entries(*self.raw.to_array(take=True))

    def _entries(self, keys: Any, leaves: Any) -> Iterator[tuple[Any, Any]]:
        for key, leaf in zip(keys, leaves, strict=True):
            yield self._member(self.Key, key.tobytes()), self._member(self.Leaf, leaf.tobytes())

    def _member(self, type_: Any, data: bytes) -> Any:
        """What bytes are as a member of a ctypes array, as BCC's batches are: numbers are Python's own."""
        return self._read(type_ * 1, data)[0]

    def items_delete_batch(self, ct_keys: Any = None) -> None:
        """Deletes entries.

        Args:
            ct_keys: a ctypes array of keys; None: all.
        """
        if ct_keys is None:
            self.clear()
        for key in ct_keys or ():
            del self[key]

    def items_update_batch(self, ct_keys: Any, ct_values: Any) -> None:
        """Writes entries.

        Args:
            ct_keys: a ctypes array of keys.
            ct_values: one of values, as long.
        """
        for key, leaf in zip(ct_keys, ct_values, strict=True):
            self[key] = leaf

    def print_log2_hist(
        self,
        val_type: str = "value",
        section_header: str = "Bucket ptr",
        section_print_fn: Callable[[Any], Any] | None = None,
        bucket_fn: Callable[[Any], Any] | None = None,
        strip_leading_zero: bool = False,
        bucket_sort_fn: Callable[[list[Any]], Iterable[Any]] | None = None,
    ) -> None:
        """Prints what was counted by powers of two; of keys that are structs, a histogram for each first member.

        Args:
            val_type: what was counted.
            section_header: what the first members are called.
            section_print_fn: what shows one.
            bucket_fn: what makes the value that histograms are for from a first member.
            strip_leading_zero: leaves out empty rows at the beginning.
            bucket_sort_fn: puts the histograms in order.
        """
        for bucket, counts in self._sections(LOG2_SLOTS, bucket_fn, bucket_sort_fn):
            _print_header(bucket, section_header, section_print_fn)
            _print_lines(log2_histogram(counts, val_type, strip=strip_leading_zero))

    def print_linear_hist(
        self,
        val_type: str = "value",
        section_header: str = "Bucket ptr",
        section_print_fn: Callable[[Any], Any] | None = None,
        bucket_fn: Callable[[Any], Any] | None = None,
        strip_leading_zero: bool = False,
        bucket_sort_fn: Callable[[list[Any]], Iterable[Any]] | None = None,
    ) -> None:
        """Prints what was counted number by number. The arguments are those of `print_log2_hist`."""
        for bucket, counts in self._sections(LINEAR_SLOTS, bucket_fn, bucket_sort_fn):
            _print_header(bucket, section_header, section_print_fn)
            _print_lines(linear_histogram(counts, val_type, strip=strip_leading_zero))

    def print_json_hist(
        self,
        val_type: str = "value",
        section_header: str = "Bucket ptr",
        section_print_fn: Callable[[Any], Any] | None = None,
        bucket_fn: Callable[[Any], Any] | None = None,
        bucket_sort_fn: Callable[[list[Any]], Iterable[Any]] | None = None,
    ) -> None:
        """Prints what was counted by powers of two as Python writes dicts. The arguments are as above."""
        from time import strftime

        for bucket, counts in self._sections(LOG2_SLOTS, bucket_fn, bucket_sort_fn):
            section = None
            if bucket is not _WHOLE:
                section = (section_header, section_print_fn(bucket) if section_print_fn else bucket)
            print(json_histogram(counts, val_type, section, strftime("%Y-%m-%d %H:%M:%S")))  # noqa: T201

    def _sections(
        self,
        slots: int,
        bucket_fn: Callable[[Any], Any] | None,
        bucket_sort_fn: Callable[[list[Any]], Iterable[Any]] | None,
    ) -> Iterator[tuple[Any, list[int]]]:
        """The counts by slot; of keys that are structs, for each first member."""
        if not issubclass(self.Key, ctypes.Structure):
            yield _WHOLE, _filled(((key.value, leaf.value) for key, leaf in self.items()), slots)
            return
        members = [name for name, *_ in self.Key._fields_ if not name.startswith("__pad_")]
        found: dict[Any, list[tuple[int, int]]] = {}
        for key, leaf in self.items():
            bucket = getattr(key, members[0])
            if bucket_fn is not None:
                bucket = bucket_fn(bucket)
            found.setdefault(bucket, []).append((getattr(key, members[1]), leaf.value))
        for bucket in bucket_sort_fn(list(found)) if bucket_sort_fn else found:
            yield bucket, _filled(found[bucket], slots)


_WHOLE = object()


def _filled(pairs: Iterable[tuple[int, int]], slots: int) -> list[int]:
    counts = [0] * slots
    for slot, count in pairs:
        if not 0 <= slot < slots:
            raise IndexError(f"slot {slot} of a histogram that has room for {slots}")
        counts[slot] = count
    return counts


def _print_header(bucket: Any, header: str, shown: Callable[[Any], Any] | None) -> None:
    if bucket is not _WHOLE:
        print(f"\n{header} = {shown(bucket)}" if shown else f"\n{header} = {bucket!r}")  # noqa: T201


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)  # noqa: T201 - what it is for


class HashTable(TableBase):
    """hash, and what is like it."""


class LruHash(HashTable):
    """A hash that forgets what was not used for longest."""


class LpmTrie(TableBase):
    """Prefixes of addresses; a key's longest prefix is found."""


class Array(TableBase):
    """A value for each number below its size."""

    def _key(self, key: Any) -> bytes:
        number = key if isinstance(key, int) else getattr(key, "value", None)
        if not isinstance(number, int):
            raise IndexError(f"an index of {self.name.decode()} is a number, not {key!r}")
        if number < 0:
            number += self.max_entries
        if not 0 <= number < self.max_entries:
            raise IndexError(f"{self.name.decode()} has no index {number}: it has room for {self.max_entries}")
        return super()._key(number)

    def __len__(self) -> int:
        return self.max_entries

    def __iter__(self) -> Iterator[Any]:
        return map(self.Key, range(self.max_entries))

    def __delitem__(self, key: Any) -> None:
        """Writes zeros: entries of arrays stay."""
        self.clearitem(key)

    def clearitem(self, key: Any) -> None:
        """Writes zeros to an entry."""
        self[key] = self.Leaf()

    def clear(self) -> None:
        """Writes zeros to all entries."""
        self.zero()
