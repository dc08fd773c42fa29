"""The kinds of things that kernels have for eBPF, how each is tried, and the Linux release that brought it.

The releases are stated, not asked: tests/kernel/test_features.py holds them against every kernel that it runs on.
Source: include/uapi/linux/bpf.h, by release.
"""

from __future__ import annotations

__all__ = ["BTF_KINDS", "HOOKS", "INSTRUCTIONS", "LINKS", "MAPS", "PROGRAMS", "MapTrial", "ProgramTrial"]


class ProgramTrial:
    """How a program type is tried.

    Args:
        since: the release that brought it.
        number: of enum bpf_prog_type.
        attach_type: of enum bpf_attach_type.
        target: the name in the kernel's BTF of what it is loaded for.
        flags: of the program.
    """

    __slots__ = ("attach_type", "flags", "number", "since", "target")

    def __init__(self, since: str, number: int, attach_type: int = 0, *, target: str = "", flags: int = 0) -> None:
        self.since = since
        self.number = number
        self.attach_type = attach_type
        self.target = target
        self.flags = flags


class MapTrial:
    """How a map type is tried.

    Args:
        since: the release that brought it.
        key, value: sizes in bytes.
        entries: at most.
        flags: of the map.
        typed: whether its key and value have to have types (BTF).
        inner: whether it holds maps.
    """

    __slots__ = ("entries", "flags", "inner", "key", "since", "typed", "value")

    def __init__(
        self,
        since: str,
        key: int = 4,
        value: int = 4,
        entries: int = 1,
        *,
        flags: int = 0,
        typed: bool = False,
        inner: bool = False,
    ) -> None:
        self.since = since
        self.key = key
        self.value = value
        self.entries = entries
        self.flags = flags
        self.typed = typed
        self.inner = inner


PROGRAMS = {
    "socket_filter": ProgramTrial("3.19", 1),
    "kprobe": ProgramTrial("4.1", 2),
    "sched_cls": ProgramTrial("4.1", 3),
    "sched_act": ProgramTrial("4.1", 4),
    "tracepoint": ProgramTrial("4.7", 5),
    "xdp": ProgramTrial("4.8", 6, 37),
    "perf_event": ProgramTrial("4.9", 7),
    "cgroup_skb": ProgramTrial("4.10", 8),
    "cgroup_sock": ProgramTrial("4.10", 9, 2),
    "lwt_in": ProgramTrial("4.10", 10),
    "lwt_out": ProgramTrial("4.10", 11),
    "lwt_xmit": ProgramTrial("4.10", 12),
    "sock_ops": ProgramTrial("4.13", 13, 3),
    "sk_skb": ProgramTrial("4.14", 14),
    "cgroup_device": ProgramTrial("4.15", 15, 6),
    "sk_msg": ProgramTrial("4.17", 16, 7),
    "raw_tracepoint": ProgramTrial("4.17", 17),
    "cgroup_sock_addr": ProgramTrial("4.17", 18, 10),
    "lwt_seg6local": ProgramTrial("4.18", 19),
    "lirc_mode2": ProgramTrial("4.18", 20, 16),
    "sk_reuseport": ProgramTrial("4.19", 21, 39),
    "flow_dissector": ProgramTrial("4.20", 22, 17),
    "cgroup_sysctl": ProgramTrial("5.2", 23, 18),
    "raw_tracepoint_writable": ProgramTrial("5.2", 24),
    "cgroup_sockopt": ProgramTrial("5.3", 25, 21),
    "tracing": ProgramTrial("5.5", 26, 23, target="sched_process_exit"),
    "struct_ops": ProgramTrial("5.6", 27, target="tcp_congestion_ops"),
    "lsm": ProgramTrial("5.7", 29, 27, target="file_open"),
    "sk_lookup": ProgramTrial("5.9", 30, 36),
    "syscall": ProgramTrial("5.14", 31, flags=1 << 4),
    "netfilter": ProgramTrial("6.4", 32, 45),
}
"""By the name that bpftool gives them. ``ext`` (5.6) takes a loaded program to be loaded for, and is not tried."""

# BPF_F_NO_PREALLOC and BPF_F_MMAPABLE.
_UNALLOCATED, _MAPPED = 1, 1 << 10
# Of rings and arenas: a page.
_PAGE = 4096
MAPS = {
    "hash": MapTrial("3.19"),
    "array": MapTrial("3.19"),
    "prog_array": MapTrial("4.2"),
    "perf_event_array": MapTrial("4.3"),
    "percpu_hash": MapTrial("4.6"),
    "percpu_array": MapTrial("4.6"),
    "stack_trace": MapTrial("4.6", value=8),
    "cgroup_array": MapTrial("4.8"),
    "lru_hash": MapTrial("4.10"),
    "lru_percpu_hash": MapTrial("4.10"),
    "lpm_trie": MapTrial("4.11", key=8, flags=_UNALLOCATED),
    "array_of_maps": MapTrial("4.12", inner=True),
    "hash_of_maps": MapTrial("4.12", inner=True),
    "devmap": MapTrial("4.14"),
    "sockmap": MapTrial("4.14"),
    "cpumap": MapTrial("4.15"),
    "xskmap": MapTrial("4.18"),
    "sockhash": MapTrial("4.18"),
    "cgroup_storage": MapTrial("4.19", key=16, entries=0),
    "reuseport_sockarray": MapTrial("4.19"),
    "percpu_cgroup_storage": MapTrial("4.20", key=16, entries=0),
    "queue": MapTrial("4.20", key=0),
    "stack": MapTrial("4.20", key=0),
    "sk_storage": MapTrial("5.2", entries=0, flags=_UNALLOCATED, typed=True),
    "devmap_hash": MapTrial("5.4"),
    "struct_ops": MapTrial("5.6"),
    "ringbuf": MapTrial("5.8", key=0, value=0, entries=_PAGE),
    "inode_storage": MapTrial("5.10", entries=0, flags=_UNALLOCATED, typed=True),
    "task_storage": MapTrial("5.11", entries=0, flags=_UNALLOCATED, typed=True),
    "bloom_filter": MapTrial("5.16", key=0),
    "user_ringbuf": MapTrial("6.1", key=0, value=0, entries=_PAGE),
    "cgrp_storage": MapTrial("6.2", entries=0, flags=_UNALLOCATED, typed=True),
    "arena": MapTrial("6.9", key=0, value=0, flags=_MAPPED),
}
"""By the names of `skep.base.abi.maps`."""

# As they lie in memory: code, registers (the target in the low half), offset, number. It returns 0.
_RETURN = "b700000000000000 9500000000000000"
INSTRUCTIONS = {
    "more than 4096": ("5.2", "b700000000000000" * 4096 + "9500000000000000"),
    "bounded loops": ("5.3", "b700000000000000 0700000001000000 a500feff04000000 9500000000000000"),
    "v2 (if a < b)": ("4.14", "b700000000000000 a500000001000000 9500000000000000"),
    "v3 (32 bits)": ("5.1", "b700000000000000 1600000000000000 9500000000000000"),
    "atomics that fetch": (
        "5.12",
        f"b700000000000000 7b0af8ff00000000 db0af8ff01000000 {_RETURN}",
    ),
    "v4 (sign extension, long jumps)": ("6.6", f"b700000000000000 bf00080000000000 {_RETURN}"),
    "may_goto": ("6.9", f"e500000000000000 {_RETURN}"),
    "load-acquire, store-release": ("6.15", f"b700000000000000 7b0af8ff00000000 dba0f8ff00010000 {_RETURN}"),
}
"""What the kernel understands: since when, and a program that has it."""

BTF_KINDS = {
    "float": ("5.13", ((1, 16 << 24, 4),)),
    "decl_tag": ("5.16", ((1, 1 << 24, 4, 0x20), (1, 8 << 24, 1), (1, 17 << 24, 2, 0xFFFFFFFF))),
    "type_tag": ("5.17", ((1, 1 << 24, 4, 0x20), (1, 18 << 24, 1), (0, 2 << 24, 2))),
    "enum64": ("6.0", ((1, 19 << 24 | 1, 8, 1, 0, 0),)),
}
"""Kinds of types that the kernel understands in an object: since when, and types that have one."""

HOOKS = {
    "socket": "3.19",
    "kprobe": "4.1",
    "tc": "4.1",
    "uprobe": "4.3",
    "tp": "4.7",
    "xdp": "4.8",
    "perf_event": "4.9",
    "hardware events": "4.9",
    "cgroup": "4.10",
    "sk_skb": "4.14",
    "raw_tp": "4.17",
    "sk_msg": "4.17",
    "flow_dissector": "4.20",
    "tp_btf": "5.5",
    "fentry": "5.5",
    "fexit": "5.5",
    "struct_ops": "5.6",
    "fmod_ret": "5.7",
    "lsm": "5.7",
    "iter": "5.8",
    "sk_lookup": "5.9",
    "syscall": "5.14",
    "kprobe.multi": "5.18",
    "netfilter": "6.4",
    "tcx": "6.6",
    "uprobe.multi": "6.6",
}
"""The kinds of `skep.kernel.attempts.KINDS` that programs are attached to."""

LINKS = {
    "raw_tracepoint": "4.17",
    "tracing": "5.5",
    "cgroup": "5.7",
    "iter": "5.8",
    "netns": "5.8",
    "perf_event": "5.15",
    "kprobe_multi": "5.18",
    "netfilter": "6.4",
    "tcx": "6.6",
    "uprobe_multi": "6.6",
    "netkit": "6.7",
    "sockmap": "6.10",
}
"""Kinds of links: `skep.kernel.attempts.LINKS` tries them."""
