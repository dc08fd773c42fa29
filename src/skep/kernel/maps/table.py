"""Maps that are tables: an entry for each key (hash, lru_hash, devmap_hash, cgroup_storage), or each number (array).

An operation is one system call. Keys and values are rows, numbers and text as in events; they are given as
`skep.base.encoding` tells.

Minimum kernel: 3.19; 4.10 lru_hash, 5.4 devmap_hash, 4.19 cgroup_storage. Source: kernel/bpf/hashtab.c, arraymap.c,
local_storage.c, devmap.c.
"""

from __future__ import annotations

from collections.abc import ItemsView, MutableMapping, ValuesView
from functools import cached_property

from skep._native import ffi, lib
from skep.base.encoding import MisfitError, encoder
from skep.base.errors import EntryMissingError, MapError, SkepError, UsageError
from skep.base.schema import decoder
from skep.kernel.maps.failures import UNSUPPORTED
from skep.kernel.maps.whole import Whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

__all__ = ["Array", "Table"]

_ENOENT, _EINVAL = 2, 22
# Entries that a repr counts, a system call each.
_COUNTED = 1000
# Steps of a walk, for each entry that there is room for, after which the map changes faster than it can be walked.
_STEPS = 8
_NONE = object()


class Table(Whole, MutableMapping["Any", "Any"]):
    """A map with a value for each key: a Mapping.

    A walk gives each key once, and all those that are there from its beginning to its end, whatever programs do
    meanwhile. Deleting entries while walking is an error: walk over `list(map)` instead.
    """

    ANY = 0
    """Write an entry, whether it is there or not."""
    NOEXIST = 1
    """Write only an entry that is not there yet."""
    EXIST = 2
    """Write only an entry that is there."""

    # Two maps of the same contents are two: what they hold may differ a moment later.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @cached_property
    def _encode_key(self) -> Callable[[Any], bytes]:
        return encoder(self.key_type)

    @cached_property
    def _decode_key(self) -> Callable[[Any], Any]:
        return decoder(self.key_type)

    @cached_property
    def _encode_value(self) -> Callable[[Any], bytes]:
        return encoder(self.value_type)

    @cached_property
    def _decode_value(self) -> Callable[[Any], Any]:
        return decoder(self.value_type)

    @cached_property
    def _value_size(self) -> int:
        """Of what the kernel copies, in bytes."""
        return self.value_type.size

    @cached_property
    def _memory(self) -> Any:
        """What a value is read into."""
        return ffi.typeof(f"unsigned char[{self._value_size}]")

    def _types(self) -> str:
        return f"{self.key_type.name} -> {self.value_type.name}"

    def _size(self) -> str:
        count = 0
        try:
            for count, _ in enumerate(self.raw_keys(), 1):
                if count > _COUNTED:
                    return f"over {_COUNTED}/{self.max_entries}"
        except SkepError:
            return super()._size()
        # What lives in what it belongs to has no size of its own.
        return f"{count}/{self.max_entries}" if self.max_entries else str(count)

    def _key(self, key: Any) -> bytes:
        try:
            return self._encode_key(key)
        except MisfitError as error:
            raise UsageError(error.told(f"the key of {self.name}"), remedy=error.remedy) from None

    def _value(self, value: Any) -> bytes:
        try:
            return self._encode_value(value)
        except MisfitError as error:
            raise UsageError(error.told(f"the value of {self.name}"), remedy=error.remedy) from None

    def _failure(self, doing: str, key: object = None) -> SkepError:
        # People know a key by what it means.
        is_raw = isinstance(key, bytes) and self.key_type.kind != "text"
        return super()._failure(doing, self._decode_key(key) if is_raw else key)

    def __getitem__(self, key: Any) -> Any:
        """The value of a key, as it is now.

        Raises:
            EntryMissingError: there is none (KeyError).
            UsageError: the key is none of this map.
            MapError: the kernel refuses to read.
        """
        memory = ffi.new(self._memory)
        if lib.bpf_map_lookup_elem(self.fd, self._key(key), memory):
            raise self._failure("read", key)
        return self._decode_value(ffi.buffer(memory))

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of a key, or another where there is none.

        Args:
            key: the key.
            default: what to give instead.

        Raises:
            UsageError: the key is none of this map.
            MapError: the kernel refuses to read.
        """
        try:
            return self[key]
        except EntryMissingError:
            return default

    def __contains__(self, key: Any) -> bool:
        memory = ffi.new(self._memory)
        if lib.bpf_map_lookup_elem(self.fd, self._key(key), memory):
            error = self._failure("read", key)
            if isinstance(error, EntryMissingError):
                return False
            raise error
        return True

    def __setitem__(self, key: Any, value: Any) -> None:
        """Writes an entry.

        Raises:
            UsageError: the key or the value is none of this map.
            MapError: the map is full or frozen, or the kernel refuses to write for another reason.
        """
        self._write(key, value, 0)

    def _write(self, key: Any, value: Any, flags: int) -> None:
        if lib.bpf_map_update_elem(self.fd, self._key(key), self._value(value), flags):
            raise self._failure("write", key)

    def update(  # type: ignore[override]
        self, entries: Mapping[Any, Any] | Iterable[tuple[Any, Any]], *, flags: int = ANY
    ) -> None:
        """Writes entries.

        Args:
            entries: keys and values: a mapping, or pairs.
            flags: `ANY`, `NOEXIST` or `EXIST`; or what else the kernel knows, such as BPF_F_LOCK (4).

        Raises:
            EntryMissingError: with `EXIST`, an entry is not there.
            MapError: with `NOEXIST`, an entry is there; or the map is full or frozen.
        """
        for key, value in getattr(entries, "items", lambda: entries)():
            self._write(key, value, flags)

    def __delitem__(self, key: Any) -> None:
        """Deletes an entry.

        Raises:
            EntryMissingError: it is not there (KeyError).
            MapError: the entries of this kind cannot be deleted, or the map is frozen.
        """
        if lib.bpf_map_delete_elem(self.fd, self._key(key)):
            raise self._failure("delete", key)
        self._deletions += 1

    def pop(self, key: Any, default: Any = _NONE) -> Any:
        """Deletes an entry and gives its value; in one step where the kernel can.

        Args:
            key: the key.
            default: what to give where there is none; without it that is an EntryMissingError.

        Minimum kernel: 5.14 for one step, in hashes. Source: kernel/bpf/hashtab.c (htab_map_lookup_and_delete_elem).
        """
        memory = ffi.new(self._memory)
        if not lib.bpf_map_lookup_and_delete_elem(self.fd, self._key(key), memory):
            self._deletions += 1
            return self._decode_value(ffi.buffer(memory))
        if ffi.errno == _ENOENT:
            if default is not _NONE:
                return default
            raise self._failure("delete", key)
        if ffi.errno not in {*UNSUPPORTED, _EINVAL}:
            raise self._failure("delete", key)
        try:
            value = self[key]
            del self[key]
        except EntryMissingError:
            if default is _NONE:
                raise
            return default
        return value

    def clear(self) -> None:
        """Deletes all entries that are there."""
        for key in list(self.raw_keys()):
            if lib.bpf_map_delete_elem(self.fd, key) and ffi.errno != _ENOENT:
                raise self._failure("delete", key)
        self._deletions += 1

    def __iter__(self) -> Iterator[Any]:
        return map(self._decode_key, self.raw_keys())

    def __len__(self) -> int:
        """How many entries there are. The kernel does not know: they are counted, a system call each."""
        return sum(1 for _ in self.raw_keys())

    def items(self) -> ItemsView[Any, Any]:
        """Keys and values, as they are while they are walked."""
        return _Items(self)

    def values(self) -> ValuesView[Any]:
        """Values, as they are while they are walked."""
        return _Values(self)

    def raw_entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values as the kernel has them; of several values for the CPUs, each in whole words."""
        for key in self.raw_keys():
            value = self._look(key)
            if value is not None:  # else it was deleted meanwhile
                yield key, value

    def _look(self, key: bytes) -> bytes | None:
        memory = ffi.new(self._memory)
        if not lib.bpf_map_lookup_elem(self.fd, key, memory):
            return bytes(ffi.buffer(memory))
        if ffi.errno == _ENOENT:
            return None
        raise self._failure("read", key)

    def raw_keys(self) -> Iterator[bytes]:
        """Keys as the kernel has them, each once.

        Where the key that a walk has reached is deleted, the kernel begins anew. So the next key is asked for before
        one is given, and what was given is remembered.

        Raises:
            UsageError: entries were deleted through this map.
            MapError: programs change it faster than it can be walked.
        """
        deletions, given = self._deletions, set[bytes]()
        # What lives in what it belongs to has no size of its own, and no walk of it begins anew.
        left = _STEPS * (self.max_entries + 1) if self.max_entries else float("inf")
        following = self._after(None)
        while following is not None:
            key, following = following, self._after(following)
            left -= 1
            if not left:
                raise MapError(f"map {self.name} changes faster than it can be walked", 0)
            if key in given:
                continue
            given.add(key)
            yield key
            if self._deletions != deletions:
                remedy = f"Walk over a copy of its keys: list({self.name})."
                raise UsageError(f"entries of map {self.name} were deleted while it was walked", remedy=remedy)

    def _after(self, key: bytes | None) -> bytes | None:
        """The key behind one; the first for None."""
        memory = ffi.new("unsigned char[]", self.key_type.size)
        if lib.bpf_map_get_next_key(self.fd, key or ffi.NULL, memory):
            if ffi.errno == _ENOENT:
                return None
            raise self._failure("walk")
        return bytes(ffi.buffer(memory))


class Array(Table):
    """A map with a value for each number below its size. Its values are written, and never deleted."""

    def __len__(self) -> int:
        return self.max_entries

    def _size(self) -> str:
        return f"{self.max_entries}"


class _Items(ItemsView["Any", "Any"]):
    _mapping: Table

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        table = self._mapping
        for key, value in table.raw_entries():
            yield table._decode_key(key), table._decode_value(value)  # noqa: SLF001 - a view of it


class _Values(ValuesView["Any"]):
    _mapping: Table

    def __iter__(self) -> Iterator[Any]:
        table = self._mapping
        for _, value in table.raw_entries():
            yield table._decode_value(value)  # noqa: SLF001 - a view of it
