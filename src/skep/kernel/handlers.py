"""Section names of newer libbpf releases, told to the one that is here: it then loads their programs as it should.

Minimum libbpf: 1.0. Source: tools/lib/bpf/libbpf.h (libbpf_register_prog_handler), libbpf.c (section_defs).
"""

from __future__ import annotations

import os

from skep._native import ffi, lib, messages

__all__ = ["PROBES", "UNIX_CALLS", "known_to_libbpf", "readable"]

# enum bpf_prog_type, include/uapi/linux/bpf.h
_KPROBE, _SCHED_CLS, _PERF_EVENT, _SK_SKB, _SOCK_ADDR, _STRUCT_OPS, _NETFILTER = 2, 3, 7, 14, 18, 27, 32
UNIX_CALLS = {"connect": 49, "sendmsg": 50, "recvmsg": 51, "getpeername": 52, "getsockname": 53}
"""The calls on Unix sockets that cgroup programs are on, and their attach types. Since 6.7."""
PROBES = {
    **dict.fromkeys(("kprobe.multi", "kretprobe.multi"), 42),
    **dict.fromkeys(("uprobe.multi", "uretprobe.multi"), 48),
    "kprobe.session": 56,
    "uprobe.session": 57,
}
"""The kinds of probes that their programs are loaded for, and their attach types; for others it is 0."""
# (section, program type, attach type of enum bpf_attach_type); a + stands for what may follow behind a slash.
_HANDLERS = (
    ("action", _SCHED_CLS, 0),
    ("tc/ingress", _SCHED_CLS, 0),
    ("tc/egress", _SCHED_CLS, 0),
    ("tcx/ingress", _SCHED_CLS, 46),
    ("tcx/egress", _SCHED_CLS, 47),
    ("netfilter+", _NETFILTER, 45),
    ("sk_skb/verdict", _SK_SKB, 38),
    *((f"cgroup/{call}_unix", _SOCK_ADDR, number) for call, number in UNIX_CALLS.items()),
    # With an event behind the slash it is skep's own.
    ("perf_event+", _PERF_EVENT, 0),
    *((f"{kind}+", _KPROBE, number) for kind, number in PROBES.items()),
    # Those that may sleep: that they do is a flag of the program, which `skep.kernel.object` sets.
    *((f"{kind}.s+", _KPROBE, number) for kind, number in PROBES.items() if kind.startswith("u")),
    ("usdt.s+", _KPROBE, 0),
    ("struct_ops.s+", _STRUCT_OPS, 0),
)
# A classifier in direct-action mode decides as an action does, sees the same, and needs no other filter to call it.
_LOADED_OTHERWISE = {"action"}


def known_to_libbpf(section: str) -> bool:
    """Whether libbpf has that section, by itself or from here.

    Args:
        section: of a program, without a ? in front.
    """
    if section not in _LOADED_OTHERWISE and _is_known(section):
        return True
    for name, program_type, attach_type in _HANDLERS:
        begin = name.removesuffix("+")
        if section == begin or (begin != name and section.startswith(f"{begin}/")):
            options = ffi.new("struct libbpf_prog_handler_opts *")
            options.sz = ffi.sizeof("struct libbpf_prog_handler_opts")
            return bool(lib.libbpf_register_prog_handler(name.encode(), program_type, attach_type, options) >= 0)
    return False


def readable(data: bytes) -> bytes:
    """An object as this libbpf reads it.

    libbpf before 1.2 does not know ``.struct_ops.link``. In the tables of names, what is behind the NUL is not read.

    Args:
        data: the object.
    """
    return data.replace(b".struct_ops.link\0", b".struct_ops\0link\0")


def _is_known(section: str) -> bool:
    kind, attach_type = ffi.new("enum bpf_prog_type *"), ffi.new("enum bpf_attach_type *")
    found = not lib.libbpf_prog_type_by_name(os.fsencode(section), kind, attach_type)
    messages()
    return found
