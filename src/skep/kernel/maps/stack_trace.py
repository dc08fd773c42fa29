"""Maps that hold stacks, each under the number that bpf_get_stackid() gave to a program: stack_trace.

Programs write them. User space reads, walks and deletes.

Minimum kernel: 4.6; 4.18 to walk it. Source: kernel/bpf/stackmap.c.
"""

from __future__ import annotations

import struct
from functools import cached_property

from skep.base.errors import UnsupportedError
from skep.kernel.maps.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["StackTraces"]

_ADDRESS = 8
# The frames are pairs of a file's build id and a place in it, struct bpf_stack_build_id (BPF_F_STACK_BUILD_ID).
_BUILD_IDS = 1 << 5


class StackTraces(Table):
    """A map from numbers to stacks: each a tuple of addresses, innermost first, as long as the stack was deep."""

    @cached_property
    def _value_size(self) -> int:
        # The source may leave it open, and the object then gives it room for the deepest.
        return self.info.value_size

    @cached_property
    def _decode_value(self) -> Callable[[Any], Any]:
        if self.spec.flags & _BUILD_IDS:
            return super()._decode_value if self.spec.value is not None else bytes
        addresses = struct.Struct(f"={self._value_size // _ADDRESS}Q").unpack_from

        def decode(data: Any) -> tuple[int, ...]:
            found = addresses(data)
            return found[: found.index(0)] if 0 in found else found

        return decode

    def _write(self, key: Any, value: Any, flags: int) -> None:  # noqa: ARG002 - as every kind's
        raise UnsupportedError(f"map {self.name}: only programs write stacks, with bpf_get_stackid()")

    def _types(self) -> str:
        return f"{self.key_type.name} -> stack"
