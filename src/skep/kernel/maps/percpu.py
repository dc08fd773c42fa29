"""Maps with a value for each CPU: percpu_hash, lru_percpu_hash, percpu_array, percpu_cgroup_storage.

Programs write without waiting for each other; whoever reads adds up. An entry is a list with a value for each possible
CPU, those that are offline included.

Minimum kernel: 4.6; 4.10 lru_percpu_hash, 4.20 percpu_cgroup_storage. Source: kernel/bpf/hashtab.c, arraymap.c.
"""

from __future__ import annotations

from functools import cached_property

from skep._native import lib
from skep.base.encoding import MisfitError, encoder
from skep.base.errors import UsageError
from skep.base.schema import decoder
from skep.kernel.maps.table import Array, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["PerCpu", "PerCpuArray", "PerCpuTable"]


class PerCpu(list["Any"]):
    """The values of all possible CPUs, in their order."""

    def sum(self) -> Any:
        """All of them added up; of rows and arrays, member by member.

        Raises:
            UsageError: they hold text or bytes.
        """
        return _sum(self)


def _sum(values: Any) -> Any:
    first = values[0]
    if isinstance(first, tuple):
        added = [_sum(members) for members in zip(*values, strict=True)]
        return first._make(added) if hasattr(first, "_make") else tuple(added)
    if isinstance(first, (str, bytes)):
        raise UsageError(f"values that hold {'text' if isinstance(first, str) else 'bytes'} cannot be added up")
    return sum(values)


class PerCpuTable(Table):
    """A map with a list of values for each key, one for each possible CPU."""

    @cached_property
    def cpus(self) -> int:
        """How many possible CPUs there are."""
        return int(lib.libbpf_num_possible_cpus())

    @cached_property
    def _stride(self) -> int:
        """Each value takes whole words of 8 bytes."""
        return -(-self.value_type.size // 8) * 8

    @cached_property
    def _value_size(self) -> int:
        return self._stride * self.cpus

    @cached_property
    def _encode_value(self) -> Callable[[Any], bytes]:
        encode, stride, cpus = encoder(self.value_type), self._stride, self.cpus

        def encode_all(values: Any) -> bytes:
            if not isinstance(values, (list, tuple)) or len(values) != cpus:
                raise MisfitError(f"takes a list of {cpus} values, one for each possible CPU, not {values!r}")
            parts = []
            for cpu, value in enumerate(values):
                try:
                    parts.append(encode(value).ljust(stride, b"\0"))
                except MisfitError as error:
                    raise error.within(f"[{cpu}]") from None
            return b"".join(parts)

        return encode_all

    @cached_property
    def _decode_value(self) -> Callable[[Any], Any]:
        decode, starts, stride = decoder(self.value_type), range(0, self._value_size, self._stride), self._stride
        return lambda data: PerCpu(decode(data[start : start + stride]) for start in starts)

    def _types(self) -> str:
        return f"{super()._types()} x {self.cpus}"


class PerCpuArray(PerCpuTable, Array):
    """A map with a list of values for each number below its size, one for each possible CPU."""
