"""`Map`: a map in the kernel; and the sizes of those whose source leaves them to user space."""

from __future__ import annotations

from skep._native import lib
from skep.spec.objectspec import PERF_EVENT_ARRAY, RINGBUF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.spec.objectspec import MapSpec

__all__ = ["Map", "set_sizes"]

# enum bpf_map_type, include/uapi/linux/bpf.h
_STACK_TRACE = 7
_HASHES = {1, 5, 9, 10, 11}  # hash, percpu_hash, lru_hash, lru_percpu_hash, lpm_trie

# What a map gets whose source gives no size: entries; bytes, for a ring buffer; addresses, for a stack (the kernel's
# own limit, kernel.perf_event_max_stack).
_ENTRIES = 10240
_RING_SIZE = 256 * 1024
_STACK_DEPTH = 127


class Map:
    """A map in the kernel. Its file descriptor belongs to the object.

    Args:
        spec: what the source declares.
        fd: file descriptor.
        max_entries: as the kernel has it: entries, or bytes for a ring buffer.
    """

    __slots__ = ("fd", "max_entries", "spec")

    def __init__(self, spec: MapSpec, fd: int, max_entries: int) -> None:
        self.spec = spec
        self.fd = fd
        self.max_entries = max_entries


def set_sizes(handle: Any, spec: MapSpec, entries: int | None) -> int:
    """Sets what the kernel wants and the source leaves open, before the map is made.

    Args:
        handle: libbpf's.
        spec: what the source declares.
        entries: how many entries (bytes, for a ring buffer) the user asks for; None: what the source says.

    Returns:
        0, or a negative errno.
    """
    error = 0
    default = 0
    if spec.type == RINGBUF:
        # A value type only tells what the records are: the kernel wants no value size here.
        error = lib.bpf_map__set_value_size(handle, 0)
        default = _RING_SIZE
    elif spec.type == PERF_EVENT_ARRAY:
        # CPU -> file descriptor, whatever the source says of the records. libbpf gives it as many entries as CPUs.
        error = lib.bpf_map__set_key_size(handle, 4) or lib.bpf_map__set_value_size(handle, 4)
    elif spec.type == _STACK_TRACE:
        default = _ENTRIES
        error = lib.bpf_map__set_key_size(handle, 4)
        if not lib.bpf_map__value_size(handle):
            error = error or lib.bpf_map__set_value_size(handle, 8 * _STACK_DEPTH)
    elif spec.type in _HASHES:
        default = _ENTRIES
    wanted = entries or (0 if lib.bpf_map__max_entries(handle) else default)
    return int(error or (lib.bpf_map__set_max_entries(handle, wanted) if wanted else 0))
