"""Maps without keys: queue, stack (values come out again), bloom_filter (values are asked for).

Minimum kernel: 4.20; 5.16 bloom_filter. Source: kernel/bpf/queue_stack_maps.c, bloom_filter.c.
"""

from __future__ import annotations

import errno
from functools import cached_property

from skep._native import ffi, lib
from skep.base.encoding import MisfitError, encoder
from skep.base.errors import EntryMissingError, UsageError
from skep.base.schema import decoder
from skep.kernel.map import Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["BloomFilter", "Queue"]

_EXIST = 2


class _Keyless(Map):
    @cached_property
    def _encode(self) -> Callable[[Any], bytes]:
        return encoder(self.value_type)

    def _types(self) -> str:
        return f"of {self.value_type.name}"

    def _bytes(self, value: Any) -> bytes:
        try:
            return self._encode(value)
        except MisfitError as error:
            raise UsageError(error.told(f"the value of {self.name}"), remedy=error.remedy) from None

    def _push(self, value: Any, flags: int) -> None:
        if lib.bpf_map_update_elem(self.fd, ffi.NULL, self._bytes(value), flags):
            raise self._failure("write")


class Queue(_Keyless):
    """A queue, which gives the oldest value first, or a stack, which gives the newest."""

    @cached_property
    def _decode(self) -> Callable[[Any], Any]:
        return decoder(self.value_type)

    def push(self, value: Any, *, replace: bool = False) -> None:
        """Puts a value in.

        Args:
            value: the value.
            replace: whether the oldest value goes where there is no room.

        Raises:
            UsageError: the value is none of this map.
            MapError: it is full.
        """
        self._push(value, _EXIST if replace else 0)

    def pop(self) -> Any:
        """Takes the next value out.

        Raises:
            EntryMissingError: it is empty.
        """
        return self._take(lib.bpf_map_lookup_and_delete_elem, "delete")

    def peek(self) -> Any:
        """The next value, which stays.

        Raises:
            EntryMissingError: it is empty.
        """
        return self._take(lib.bpf_map_lookup_elem, "read")

    def clear(self) -> None:
        """Takes out all values that are there; not what programs go on putting in."""
        for _ in range(self.max_entries):
            try:
                self.pop()
            except EntryMissingError:
                return

    def _take(self, call: Any, doing: str) -> Any:
        memory = ffi.new("unsigned char[]", self.value_type.size)
        if call(self.fd, ffi.NULL, memory):
            if ffi.errno == errno.ENOENT:
                raise EntryMissingError(f"{self.kind} {self.name} is empty")
            raise self._failure(doing)
        return self._decode(ffi.buffer(memory))


class BloomFilter(_Keyless):
    """A filter: `value in filter` is never False for a value that was put in, and seldom True for another."""

    def push(self, value: Any) -> None:
        """Puts a value in, for good.

        Args:
            value: the value.

        Raises:
            UsageError: the value is none of this map.
        """
        self._push(value, 0)

    def __contains__(self, value: Any) -> bool:
        if not lib.bpf_map_lookup_elem(self.fd, ffi.NULL, ffi.from_buffer(bytearray(self._bytes(value)))):
            return True
        if ffi.errno == errno.ENOENT:
            return False
        raise self._failure("read")
