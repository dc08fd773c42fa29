"""Sizes and flags of maps that the kernel wants and the source leaves open."""

from __future__ import annotations

from skep._native import lib
from skep.base.errors import UsageError
from skep.spec.objectspec import PERF_EVENT_ARRAY, RINGBUF
from skep.spec.sizes import STACK_DEPTH, default_entries, has_entries, one_per_cpu, shapeless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.spec.objectspec import MapSpec

__all__ = ["set_sizes"]

# enum bpf_map_type, include/uapi/linux/bpf.h
_STACK_TRACE = 7
_LPM_TRIE = 11
# The kernel makes such a map in no other way (BPF_F_NO_PREALLOC).
_NO_PREALLOC = 1


def set_sizes(handle: Any, spec: MapSpec, entries: int | None) -> int:
    """Sets what the kernel wants and the source leaves open, before the map is made.

    Args:
        handle: libbpf's.
        spec: what the source declares.
        entries: how many entries (bytes, for a ring buffer) the user asks for; None: what the source says.

    Returns:
        0, or a negative errno.

    Raises:
        UsageError: the map has no size, or one that no map has, is of a kind that takes none, or the source leaves open
            what it holds.
    """
    if question := shapeless(spec):
        raise UsageError(f"map {spec.name} cannot be made: the source leaves open {question}")
    error = 0
    if spec.type == RINGBUF:
        # A value type only tells what the records are: the kernel wants no value size here.
        error = lib.bpf_map__set_value_size(handle, 0)
    elif spec.type == PERF_EVENT_ARRAY:
        # CPU -> file descriptor, whatever the source says of the records.
        error = lib.bpf_map__set_key_size(handle, 4) or lib.bpf_map__set_value_size(handle, 4)
    elif spec.type == _STACK_TRACE:
        error = lib.bpf_map__set_key_size(handle, 4)
        if not lib.bpf_map__value_size(handle):
            error = error or lib.bpf_map__set_value_size(handle, 8 * STACK_DEPTH)
    elif spec.type == _LPM_TRIE:
        error = lib.bpf_map__set_map_flags(handle, lib.bpf_map__map_flags(handle) | _NO_PREALLOC)
    if entries is not None and not 0 < entries < 1 << 32:
        raise UsageError(f"map {spec.name} cannot have {entries} entries: it takes 1 to {(1 << 32) - 1}")
    if entries and not has_entries(spec.type):
        raise UsageError(f"map {spec.name} takes no size: it grows with what it belongs to")
    wanted = entries or lib.bpf_map__max_entries(handle) or default_entries(spec.type)
    if wanted == 0 and one_per_cpu(spec.type):
        wanted = lib.libbpf_num_possible_cpus()
    if wanted is None:
        raise UsageError(
            f"the source leaves open how many entries {spec.name} has",
            remedy=f"Say it: --map {spec.name}.max_entries=N",
        )
    return int(error or (lib.bpf_map__set_max_entries(handle, wanted) if wanted else 0))
