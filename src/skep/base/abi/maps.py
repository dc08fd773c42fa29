"""Kinds of maps: enum bpf_map_type of <linux/bpf.h>, Linux 6.18."""

from __future__ import annotations

__all__ = ["MAP_TYPES"]

_MAP_TYPES = """
    unspec hash array prog_array perf_event_array percpu_hash percpu_array stack_trace cgroup_array lru_hash
    lru_percpu_hash lpm_trie array_of_maps hash_of_maps devmap sockmap cpumap xskmap sockhash cgroup_storage
    reuseport_sockarray percpu_cgroup_storage queue stack sk_storage devmap_hash struct_ops ringbuf inode_storage
    task_storage bloom_filter user_ringbuf cgrp_storage arena
"""

MAP_TYPES: dict[int, str] = dict(enumerate(_MAP_TYPES.split()))
"""Number -> name of a kind of map, as bpftool writes it."""
