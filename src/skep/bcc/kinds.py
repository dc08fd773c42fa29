"""The kinds of tables that are more than hashes and arrays: of descriptors, a value for each CPU, stacks, queues."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import reduce

from skep.base.errors import EntryMissingError
from skep.bcc.backed import Backed, sized_by_the_text
from skep.bcc.table import Array, HashTable, LpmTrie, LruHash, TableBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from skep.kernel.map import Map

__all__ = ["KINDS"]

_SLOT = 8
# Numbers of 4 bytes take as much room as any for each CPU.
_WIDER: dict[Any, Any] = {ctypes.c_int: ctypes.c_longlong, ctypes.c_uint: ctypes.c_ulonglong}


class Slots(Array):
    """An array of what stands for something of the kernel's: a program, a cgroup, an interface, a map."""

    def __getitem__(self, key: Any) -> Any:
        return self._read(self.Leaf, bytes(self.raw[self._key(key)]))

    def __setitem__(self, key: Any, leaf: Any) -> None:
        number = leaf if isinstance(leaf, int) else getattr(leaf, "value", None)
        self.raw[self._key(key)] = leaf if number is None else _Descriptor(number)

    def __delitem__(self, key: Any) -> None:
        del self.raw[self._key(key)]

    def clearitem(self, key: Any) -> None:
        """Empties a slot, if there is something in it: not all that is in slots can be read."""
        with suppress(EntryMissingError):
            del self[key]

    def clear(self) -> None:
        """Empties all slots."""
        for number in range(self.max_entries):
            self.clearitem(number)


class ProgArray(Slots):
    """Programs to go on with: it takes functions of `BPF.load_func`, and file descriptors."""


class CgroupArray(Slots):
    """Cgroups: it takes paths, and file descriptors."""


class MapInMapArray(Slots):
    """Maps by number: it takes file descriptors."""


class MapInMapHash(HashTable):
    """Maps by key: it takes file descriptors."""

    def __setitem__(self, key: Any, leaf: Any) -> None:
        with sized_by_the_text():
            self.raw[self._key(key)] = _Descriptor(leaf if isinstance(leaf, int) else leaf.value)


class NumberArray(Array):
    """An array that takes numbers: of interfaces (devmap), of CPUs (cpumap), of sockets (xskmap)."""


class _Descriptor:
    """A file descriptor, as maps of `skep.kernel` take it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd


class PerCpuHash(HashTable):
    """A hash with a value for each possible CPU."""

    reducer: Callable[[Any, Any], Any] | None = None

    def __init__(self, map_: Map, kind: str, keytype: Any = None, leaftype: Any = None) -> None:
        super().__init__(map_, kind, keytype, leaftype)
        # As scripts know them: the value of one CPU, and those of all.
        self.sLeaf = self.Leaf
        self.Leaf = _WIDER.get(self.sLeaf, self.sLeaf) * self.total_cpu

    @property
    def total_cpu(self) -> int:
        """How many possible CPUs there are."""
        return int(self.raw.cpus)

    def getvalue(self, key: Any) -> Any:
        """The values of all CPUs: a ctypes array.

        Raises:
            EntryMissingError: there is no such key (KeyError).
        """
        return self._of_all(self.raw[self._key(key)])

    def _of_all(self, values: Iterable[bytes]) -> Any:
        size = ctypes.sizeof(self.sLeaf)
        whole = b"".join(value[:size].ljust(size, b"\0") for value in values)
        return (self.sLeaf * self.total_cpu).from_buffer_copy(whole)

    def __getitem__(self, key: Any) -> Any:
        values = self.getvalue(key)
        return values if self.reducer is None else reduce(self.reducer, values)

    def _leaf(self, leaf: Any) -> list[bytes]:
        each = leaf if isinstance(leaf, ctypes.Array) and len(leaf) == self.total_cpu else [leaf] * self.total_cpu
        return [self._bytes(self.sLeaf, self.map.value_type.size, value) for value in each]

    def _numbers(self, key: Any) -> list[int]:
        if issubclass(self.sLeaf, (ctypes.Structure, ctypes.Array)):
            raise IndexError("Leaf must be an integer type for default sum functions")
        return list(self.getvalue(key))

    def sum(self, key: Any) -> Any:
        """The values of all CPUs, added up."""
        return self.sLeaf(sum(self._numbers(key)))

    def max(self, key: Any) -> Any:
        """The largest value of a CPU."""
        return self.sLeaf(max(self._numbers(key)))

    def average(self, key: Any) -> float:
        """The values of all CPUs, added up and divided by how many there are."""
        return sum(self._numbers(key)) / self.total_cpu

    def _entries(self, keys: Any, leaves: Any) -> Iterator[tuple[Any, Any]]:
        for key, values in zip(keys, leaves, strict=True):
            yield self._member(self.Key, key.tobytes()), self._of_all(value.tobytes() for value in values)


class PerCpuArray(PerCpuHash, Array):
    """An array with a value for each possible CPU."""


class LruPerCpuHash(PerCpuHash):
    """The same, which forgets what was not used for longest."""


class StackTrace(TableBase):
    """Stacks by their number."""

    def __getitem__(self, key: Any) -> Any:
        """A stack: its `ip` holds the addresses, and zeros behind them."""
        addresses = self.raw[self._key(key)]
        depth = self.map.info.value_size // _SLOT
        stack = type("bpf_stacktrace", (ctypes.Structure,), {"_fields_": [("ip", ctypes.c_ulonglong * depth)]})()
        stack.ip[: len(addresses)] = addresses
        return stack

    def walk(self, stack_id: int, resolve: Callable[[int], Any] | None = None) -> Iterator[Any]:
        """The addresses of a stack, innermost first.

        Args:
            stack_id: its number, as get_stackid() gave it.
            resolve: makes of each address what is given instead.

        Raises:
            EntryMissingError: there is no such stack (KeyError).
        """
        if stack_id < 0:
            raise EntryMissingError(f"{self.name.decode()} has no stack {stack_id}: it is an error number")
        addresses = self.raw[self._key(stack_id)]
        return iter([resolve(address) if resolve else address for address in addresses])

    def clear(self) -> None:
        """Nothing: stacks stay, since what refers to them may."""


class QueueStack(Backed):
    """queue and stack: values without keys."""

    def push(self, leaf: Any, flags: int = 0) -> None:
        """Puts a value in.

        Args:
            leaf: the value.
            flags: 2 (BPF_EXIST) lets the oldest value go where there is no room.
        """
        with sized_by_the_text():
            self.raw.push(self._leaf(leaf), replace=bool(flags))

    def pop(self) -> Any:
        """Takes the next value out.

        Raises:
            EntryMissingError: it is empty (KeyError).
        """
        return self._read(self.Leaf, self.raw.pop())

    def peek(self) -> Any:
        """The next value, which stays."""
        return self._read(self.Leaf, self.raw.peek())

    def itervalues(self) -> Iterator[Any]:
        """Takes values out until it is empty."""
        for _ in range(self.max_entries):
            try:
                yield self.pop()
            except EntryMissingError:
                return

    def values(self) -> list[Any]:
        """Takes all values out."""
        return list(self.itervalues())


KINDS: dict[str, Any] = {
    "hash": HashTable,
    "array": Array,
    "percpu_hash": PerCpuHash,
    "percpu_array": PerCpuArray,
    "lru_hash": LruHash,
    "lru_percpu_hash": LruPerCpuHash,
    "lpm_trie": LpmTrie,
    "prog": ProgArray,
    "cgroup_array": CgroupArray,
    "stacktrace": StackTrace,
    "devmap": NumberArray,
    "cpumap": NumberArray,
    "xskmap": NumberArray,
    "array_of_maps": MapInMapArray,
    "hash_of_maps": MapInMapHash,
    "queue": QueueStack,
    "stack": QueueStack,
}
"""What BCC calls a kind -> its class; those that carry records are in `skep.bcc.buffers`."""
