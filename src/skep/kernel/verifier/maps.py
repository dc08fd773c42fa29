"""Helpers that are given a map of a kind that they do not work on."""

from __future__ import annotations

import re

from skep.kernel.verifier.failure import Finding, quoted
from skep.kernel.verifier.names import argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.verifier.failure import Failure

__all__ = ["map_mismatch"]

# By their numbers (enum bpf_map_type, include/uapi/linux/bpf.h).
_NAMES = (
    "UNSPEC HASH ARRAY PROG_ARRAY PERF_EVENT_ARRAY PERCPU_HASH PERCPU_ARRAY STACK_TRACE CGROUP_ARRAY LRU_HASH "
    "LRU_PERCPU_HASH LPM_TRIE ARRAY_OF_MAPS HASH_OF_MAPS DEVMAP SOCKMAP CPUMAP XSKMAP SOCKHASH CGROUP_STORAGE "
    "REUSEPORT_SOCKARRAY PERCPU_CGROUP_STORAGE QUEUE STACK SK_STORAGE DEVMAP_HASH STRUCT_OPS RINGBUF INODE_STORAGE "
    "TASK_STORAGE BLOOM_FILTER USER_RINGBUF CGRP_STORAGE ARENA"
)
# What helpers work on, by the beginnings of their names; the first that fits counts.
_TAKES = (
    ("bpf_perf_event_", "PERF_EVENT_ARRAY"),
    ("bpf_skb_output", "PERF_EVENT_ARRAY"),
    ("bpf_xdp_output", "PERF_EVENT_ARRAY"),
    ("bpf_ringbuf_", "RINGBUF"),
    ("bpf_user_ringbuf_", "USER_RINGBUF"),
    ("bpf_tail_call", "PROG_ARRAY"),
    ("bpf_get_stackid", "STACK_TRACE"),
    ("bpf_redirect_map", "DEVMAP DEVMAP_HASH CPUMAP XSKMAP"),
    ("bpf_map_push_elem", "QUEUE STACK BLOOM_FILTER"),
    ("bpf_map_peek_elem", "QUEUE STACK BLOOM_FILTER"),
    ("bpf_map_pop_elem", "QUEUE STACK"),
    ("bpf_sk_redirect_map", "SOCKMAP"),
    ("bpf_sk_redirect_hash", "SOCKHASH"),
    ("bpf_msg_redirect_map", "SOCKMAP"),
    ("bpf_msg_redirect_hash", "SOCKHASH"),
    ("bpf_sk_storage_", "SK_STORAGE"),
    ("bpf_task_storage_", "TASK_STORAGE"),
    ("bpf_inode_storage_", "INODE_STORAGE"),
    ("bpf_cgrp_storage_", "CGRP_STORAGE"),
    ("bpf_current_task_under_cgroup", "CGROUP_ARRAY"),
    ("bpf_skb_under_cgroup", "CGROUP_ARRAY"),
    ("bpf_get_local_storage", "CGROUP_STORAGE PERCPU_CGROUP_STORAGE"),
    ("bpf_map_lookup_percpu_elem", "PERCPU_ARRAY PERCPU_HASH LRU_PERCPU_HASH"),
    ("bpf_for_each_map_elem", "HASH ARRAY PERCPU_HASH PERCPU_ARRAY LRU_HASH"),
)
# What a program does with a map of a kind instead.
_USED_BY = {
    "RINGBUF": "bpf_ringbuf_reserve() and bpf_ringbuf_submit(), or bpf_ringbuf_output()",
    "PERF_EVENT_ARRAY": "bpf_perf_event_output()",
    "PROG_ARRAY": "bpf_tail_call()",
    "STACK_TRACE": "bpf_get_stackid(); user space reads it. A program that needs the addresses calls bpf_get_stack()",
    "QUEUE": "bpf_map_push_elem(), bpf_map_peek_elem() and bpf_map_pop_elem()",
    "STACK": "bpf_map_push_elem(), bpf_map_peek_elem() and bpf_map_pop_elem()",
    "TASK_STORAGE": "bpf_task_storage_get()",
    "SK_STORAGE": "bpf_sk_storage_get()",
    "INODE_STORAGE": "bpf_inode_storage_get()",
    "CGRP_STORAGE": "bpf_cgrp_storage_get()",
    "CGROUP_ARRAY": "bpf_current_task_under_cgroup()",
    "DEVMAP": "bpf_redirect_map()",
    "CPUMAP": "bpf_redirect_map()",
    "XSKMAP": "bpf_redirect_map()",
    **dict.fromkeys(
        ("HASH", "ARRAY", "PERCPU_HASH", "PERCPU_ARRAY", "LRU_HASH", "LRU_PERCPU_HASH"),
        "bpf_map_lookup_elem() and bpf_map_update_elem()",
    ),
}


def map_mismatch(failure: Failure) -> Finding:
    """A helper does not work on the kind of map that it is given."""
    call = failure.call or "the call"
    given = _given(failure)
    which = quoted(given) if given else "the map"
    number = re.search(r"map_type (\d+)", failure.said)
    kind = dict(enumerate(_NAMES.split())).get(int(number[1]), "") if number is not None else ""
    takes = next((kinds.split() for name, kinds in _TAKES if call.startswith(name)), [])
    of = f", of type BPF_MAP_TYPE_{kind}" if kind else ""
    advice = []
    if takes:
        advice.append(f"Declare {given or 'the map'} with __uint(type, BPF_MAP_TYPE_{takes[0]})")
        advice[0] += f" (or {', '.join(takes[1:])})." if takes[1:] else "."
    if kind in _USED_BY:
        advice.append(f"With a map of type BPF_MAP_TYPE_{kind} programs use {_USED_BY[kind]}.")
    if not advice:
        advice.append(
            "Use the helper that is made for this map's type, or give the map the type that the helper needs."
        )
    return Finding(
        f"{call}() does not work on this kind of map: {which}{of}",
        failure.path(failure.at(failure.position, "the map is given here") if failure.flow.steps else None),
        "\n".join(advice),
    )


def _given(failure: Failure) -> str | None:
    """The map, as the line names it."""
    for number in (1, 2):
        given = argument(failure.text, failure.call, number) if failure.call else None
        if given is not None and given.startswith("&"):
            return given[1:]
    return None
