"""The sizes of maps that a source leaves to user space, and what skep gives them.

A default is there where more room than needed harms nobody; and for arrays, whose user space counts the CPUs where the
source counts nothing.

Source: include/uapi/linux/bpf.h (enum bpf_map_type), kernel/bpf/*.c (the map_alloc_check of each kind).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.spec.objectspec import MapSpec

__all__ = ["STACK_DEPTH", "default_entries", "has_entries", "one_per_cpu", "shapeless"]

STACK_DEPTH = 127
"""Addresses of one stack: as many as the kernel takes (kernel.perf_event_max_stack)."""

_ENTRIES = 10240
_RING_SIZE = 256 * 1024

_RINGS = {27, 31}  # ringbuf, user_ringbuf
# hash, percpu_hash, stack_trace, lru_hash, lru_percpu_hash, lpm_trie, hash_of_maps, sockhash, queue, stack,
# devmap_hash, bloom_filter
_GROWING = {1, 5, 7, 9, 10, 11, 13, 18, 22, 23, 25, 30}
_CGROUP_ARRAY = 8  # one cgroup is what programs ask for: bpf_current_task_under_cgroup(&map, 0)
_PER_CPU = {2, 4, 6, 16}  # array, perf_event_array, percpu_array, cpumap
# struct_ops (libbpf gives it one entry) and storage that lives in what it belongs to: cgroup_storage,
# percpu_cgroup_storage, sk_storage, inode_storage, task_storage, cgrp_storage.
_SIZELESS = {19, 21, 24, 26, 28, 29, 32}
# hash, array, percpu_hash, percpu_array, lru_hash, lru_percpu_hash, lpm_trie
_KEYED = {1, 2, 5, 6, 9, 10, 11}
_VALUED = _KEYED | {22, 23, 30}  # queue, stack, bloom_filter
_NESTED = {12, 13}  # array_of_maps, hash_of_maps


def has_entries(map_type: int) -> bool:
    """Whether a kind of map has a size at all.

    Args:
        map_type: number of enum bpf_map_type.
    """
    return map_type not in _SIZELESS


def default_entries(map_type: int) -> int | None:
    """How many entries (bytes, for a ring buffer) a map gets whose source says nothing.

    Args:
        map_type: number of enum bpf_map_type.

    Returns:
        None where only the user knows; 0 where none are needed, or one for each CPU.
    """
    if map_type in _RINGS:
        return _RING_SIZE
    if map_type in _GROWING:
        return _ENTRIES
    if map_type == _CGROUP_ARRAY:
        return 1
    return 0 if map_type in _PER_CPU | _SIZELESS else None


def one_per_cpu(map_type: int) -> bool:
    """Whether a map whose source says nothing gets an entry for each CPU.

    Args:
        map_type: number of enum bpf_map_type.
    """
    return map_type in _PER_CPU


def shapeless(spec: MapSpec) -> str:
    """What of a map's entries its source leaves to user space, which alone can know it; "" if nothing.

    Args:
        spec: as the source declares it.

    Returns:
        What is open, and the declaration that says it.
    """
    if spec.type in _KEYED and not (spec.key and spec.key.size):
        return "how large its keys are: __type(key, ...)"
    if spec.type in _VALUED and not (spec.value and spec.value.size):
        return "how large its values are: __type(value, ...)"
    if spec.type in _NESTED and not spec.inner:
        return "what the maps in it are like: __array(values, struct { ... })"
    return ""
