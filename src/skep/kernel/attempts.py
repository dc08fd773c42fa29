"""What kinds of hooks this process can use here, found by trying each where nothing can come of it.

A program that does nothing is loaded, and attached to a function that the kernel keeps for tests, to a file that nobody
executes, or to an event of our own. Kinds that decide something of others (packets, permissions) are only loaded.

Minimum kernel: none. Source: kernel/bpf/syscall.c (bpf_prog_load, link_create), kernel/events/core.c
(perf_event_open, perf_uprobe_event_init).
"""

from __future__ import annotations

import errno
import os
import struct
from functools import cache

from skep._native import ffi, lib, messages
from skep.kernel.features import load_nothing, tracefs
from skep.kernel.instances import remove_instance, try_instance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["KINDS", "LINKS", "attempt", "kernel_types", "type_of"]

# enum bpf_cmd, include/uapi/linux/bpf.h
_RAW_TRACEPOINT_OPEN, _LINK_CREATE = 17, 28
_SLEEPABLE = 1 << 4
_DEVICES = "/sys/bus/event_source/devices"
# In net/bpf/test_run.c, for tests of the kernel's own.
_FUNCTION, _MODIFIED = b"bpf_fentry_test1", b"bpf_modify_return_test"
_TRACEPOINT = b"sched_process_exit"
# enum perf_type_id, include/uapi/linux/perf_event.h
_SOFTWARE, _TRACEPOINT_EVENT = 1, 2
_DISABLED = 1
_CLOEXEC = 8  # PERF_FLAG_FD_CLOEXEC
# What the kernel puts before the names of what programs are attached to by type, and the kind of type that it is
# (BTF_KIND_STRUCT, BTF_KIND_TYPEDEF, BTF_KIND_FUNC): tools/lib/bpf/libbpf.c, btf_get_kernel_prefix_kind.
_FUNCTION_TYPE = (b"", 12)
_TYPES = {0: (b"", 4), 23: (b"btf_trace_", 8), 27: (b"bpf_lsm_", 12), 28: (b"bpf_iter_", 12)}
# A number that no interface has.
_NO_INTERFACE = 0x7FFFFFFF


def attempt(kind: str, kinds: Mapping[str, Callable[[list[int]], None]] | None = None) -> list[int]:
    """Tries a kind of hook, or of link.

    Args:
        kind: one of `KINDS`.
        kinds: those that it is one of, where these are others: `LINKS`.

    Returns:
        File descriptors. To close that of an event takes the kernel 50 to 100 ms.

    Raises:
        OSError: what the kernel said; ENOENT, ENODEV and EOPNOTSUPP where it lacks the kind.
    """
    opened: list[int] = []
    try:
        (kinds or KINDS)[kind](opened)
    except BaseException:
        for fd in opened:
            os.close(fd)
        raise
    return opened


def _load(
    opened: list[int],
    program_type: int,
    attach_type: int = 0,
    *,
    function: bytes = b"",
    btf_id: int = 0,
    flags: int = 0,
) -> int:
    number = type_of(attach_type, function) if function else btf_id
    fd = load_nothing(program_type, attach_type, btf_id=number, flags=flags)
    if fd < 0:
        raise OSError(-fd, os.strerror(-fd))
    opened.append(fd)
    return fd


@cache
def kernel_types() -> Any:
    """Libbpf's handle of the kernel's types, read once: that takes 10 ms. `kernel_types.cache_clear` lets go of it.

    Raises:
        OSError: the kernel has none.
    """
    types = lib.btf__load_vmlinux_btf()
    messages()
    if types == ffi.NULL:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return ffi.gc(types, lib.btf__free)


@cache
def type_of(attach_type: int, name: bytes) -> int:
    """The number, in the kernel's BTF, of what programs of an attach type are loaded for.

    Args:
        attach_type: of enum bpf_attach_type.
        name: of a function, a tracepoint, a hook; of a struct of operations, where the attach type is 0.

    Raises:
        OSError: the kernel has no such.
    """
    prefix, kind = _TYPES.get(attach_type, _FUNCTION_TYPE)
    number = int(lib.btf__find_by_name_kind(kernel_types(), prefix + name, kind))
    messages()
    if number < 0:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return number


def _system_call(opened: list[int], number: int, *arguments: object) -> None:
    fd = lib.syscall(number, *arguments)
    if fd < 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    opened.append(int(fd))


def _bpf(opened: list[int], command: int, attributes: bytes) -> None:
    size = ffi.cast("unsigned int", len(attributes))
    _system_call(opened, lib.SYS_bpf, ffi.cast("int", command), ffi.from_buffer(attributes), size)


def _raw(opened: list[int], program: int, name: bytes = b"") -> None:
    text = ffi.new("char[]", name)
    pointer = int(ffi.cast("uintptr_t", text)) if name else 0
    _bpf(opened, _RAW_TRACEPOINT_OPEN, struct.pack("=QI4x", pointer, program))


def _link(opened: list[int], program: int, attach_type: int, *, target: int = 0, extra: bytes = b"") -> None:
    _bpf(opened, _LINK_CREATE, struct.pack("=4I", program, target, attach_type, 0) + extra)


def _perf(opened: list[int], kind: int, config: int, *, period: int = 0, text: bytes = b"") -> None:
    """Opens an event, not enabled, on one CPU: a program on it would see all tasks."""
    name = ffi.new("char[]", text)
    pointer = int(ffi.cast("uintptr_t", name)) if text else 0
    # struct perf_event_attr: type, size, config, period, ..., flags, ..., config1 (a name), config2 (an offset).
    attributes = struct.pack("=IIQQQQQIIQQ", kind, 72, config, period, 0, 0, _DISABLED, 0, 0, pointer, 0)
    numbers = (ffi.cast("long", number) for number in (-1, 0, -1, _CLOEXEC))
    _system_call(opened, lib.SYS_perf_event_open, ffi.from_buffer(attributes), *numbers)


def _device(name: str) -> int:
    with open(f"{_DEVICES}/{name}/type", encoding="ascii") as file:
        return int(file.read())


def _tracepoint(opened: list[int]) -> None:
    _load(opened, 5)
    with open(f"{tracefs()}/events/sched/{_TRACEPOINT.decode()}/id", encoding="ascii") as file:
        number = int(file.read())
    _perf(opened, _TRACEPOINT_EVENT, number)


def _raw_tracepoint(opened: list[int]) -> None:
    _raw(opened, _load(opened, 17), _TRACEPOINT)


def _by_type(attach_type: int, function: bytes) -> Callable[[list[int]], None]:
    return lambda opened: _raw(opened, _load(opened, 26, attach_type, function=function))


def _iterator(opened: list[int]) -> None:
    _link(opened, _load(opened, 26, 28, function=b"task"), 28)


def _kprobe(opened: list[int]) -> None:
    kind = _device("kprobe")
    _load(opened, 2)
    _perf(opened, kind, 0, text=_FUNCTION)


def _kprobe_multi(opened: list[int]) -> None:
    name = ffi.new("char[]", _FUNCTION)
    names = ffi.new("char *[1]", [name])
    extra = struct.pack("=IIQQQ", 0, 1, int(ffi.cast("uintptr_t", names)), 0, 0)
    _link(opened, _load(opened, 2, 42), 42, extra=extra)


def _uprobe(opened: list[int]) -> None:
    kind = _device("uprobe")
    _load(opened, 2)
    _perf(opened, kind, 0, text=os.fsencode(__file__))


def _uprobe_multi(opened: list[int]) -> None:
    path, offsets = ffi.new("char[]", os.fsencode(__file__)), ffi.new("uint64_t[1]")
    pointers = (int(ffi.cast("uintptr_t", pointer)) for pointer in (path, offsets))
    _link(opened, _load(opened, 2, 48), 48, extra=struct.pack("=QQQQIII4x", *pointers, 0, 0, 1, 0, 0))


def _perf_event(opened: list[int]) -> None:
    _load(opened, 7)
    _perf(opened, _SOFTWARE, 0, period=10**9)


def _hardware(opened: list[int]) -> None:
    _perf(opened, 0, 0, period=10**9)


def _nowhere(
    program_type: int, attach_type: int, answer: int, *, target: int = 0xFFFFFFFF, extra: bytes = b""
) -> Callable[[list[int]], None]:
    """A link to what is not there: that the kernel looks for it is all that we want to know."""

    def link(opened: list[int]) -> None:
        program = _load(opened, program_type, attach_type)
        try:
            _link(opened, program, attach_type, target=target, extra=extra)
        except OSError as error:
            if error.errno != answer:
                raise

    return link


def _struct_ops(opened: list[int]) -> None:
    """As a member of one of the structs: what it is loaded for is its type in BTF, and its place among the members."""
    _load(opened, 27, btf_id=type_of(0, b"tcp_congestion_ops"))


def _packet_socket(opened: list[int]) -> None:
    from socket import AF_PACKET, SOCK_RAW, socket

    _load(opened, 1)
    # Of no protocol: nothing comes to it.
    opened.append(socket(AF_PACKET, SOCK_RAW, 0).detach())


def _statistics(opened: list[int]) -> None:
    fd = lib.bpf_enable_stats(0)
    messages()
    if fd < 0:
        raise OSError(-fd, os.strerror(-fd))
    opened.append(fd)


def _instance(_: list[int]) -> None:
    """A trace instance, as `skep.stream.printk` makes it."""
    remove_instance(try_instance())


def _loaded(
    program_type: int, attach_type: int = 0, *, function: bytes = b"", flags: int = 0
) -> Callable[[list[int]], None]:
    def load(opened: list[int]) -> None:
        _load(opened, program_type, attach_type, function=function, flags=flags)

    return load


# Program and attach types are of enum bpf_prog_type and bpf_attach_type.
KINDS: dict[str, Callable[[list[int]], None]] = {
    "tp": _tracepoint,
    "raw_tp": _raw_tracepoint,
    "tp_btf": _by_type(23, _TRACEPOINT),
    "fentry": _by_type(24, _FUNCTION),
    "fexit": _by_type(25, _FUNCTION),
    "fmod_ret": _by_type(26, _MODIFIED),
    "kprobe": _kprobe,
    "kprobe.multi": _kprobe_multi,
    "uprobe": _uprobe,
    "uprobe.multi": _uprobe_multi,
    "lsm": _loaded(29, 27, function=b"file_open"),
    "perf_event": _perf_event,
    "hardware events": _hardware,
    "iter": _iterator,
    "syscall": _loaded(31, flags=_SLEEPABLE),
    "xdp": _loaded(6, 37),
    "tc": _loaded(3),
    "tcx": _nowhere(3, 46, errno.ENODEV, target=_NO_INTERFACE),
    "netfilter": _loaded(32, 45),
    "sk_lookup": _loaded(30, 36),
    "flow_dissector": _loaded(22, 17),
    "sk_msg": _loaded(16, 7),
    "sk_skb": _loaded(14),
    "struct_ops": _struct_ops,
    "socket": _packet_socket,
    "cgroup": _loaded(9, 2),
    "bpf_printk": _instance,
    "run counts": _statistics,
}
"""Kinds of hooks, as sections name them, and what else a run may want: how each is tried."""

LINKS: dict[str, Callable[[list[int]], None]] = {
    "raw_tracepoint": _raw_tracepoint,
    "tracing": KINDS["tp_btf"],
    "cgroup": _nowhere(9, 2, errno.EBADF),
    "iter": _iterator,
    "netns": _nowhere(30, 36, errno.EBADF),
    "perf_event": _nowhere(5, 41, errno.EBADF),
    "kprobe_multi": _kprobe_multi,
    "netfilter": _nowhere(32, 45, errno.EAFNOSUPPORT, extra=struct.pack("=4I", 255, 0, 0, 0)),
    "tcx": KINDS["tcx"],
    "uprobe_multi": _uprobe_multi,
    "netkit": _nowhere(3, 54, errno.ENODEV, target=_NO_INTERFACE),
    "sockmap": _nowhere(16, 7, errno.EBADF),
}
"""Kinds of links (BPF_LINK_CREATE). That of XDP (5.9) says the same whether it is missing or has no interface."""
