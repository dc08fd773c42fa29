"""The vocabulary of meanings: what a number or a run of bytes stands for, beyond its C type.

A field's meaning is one of these words. It is found from the field's type, name and use (`skep.spec.meanings`); one
formatter a word (`skep.view.formatters`) writes it for people. The numbers themselves never change: a row, an array or
a file holds what the kernel wrote.
"""

from __future__ import annotations

__all__ = ["MEANINGS", "PROCESS", "Meaning"]


class Meaning:
    """One word of the vocabulary.

    Args:
        name: the word.
        unit: unit of the number (``ns``, ``bytes``), or "" where it has none.
        kind: ``time``, ``duration``, ``process``, ``code`` (a number with a name), ``address`` (of the network or of
            memory), ``count`` or ``text``.
        arrow: the Arrow type that a column of it has.
        doc: one sentence.
    """

    __slots__ = ("arrow", "doc", "kind", "name", "unit")

    def __init__(self, name: str, unit: str, kind: str, arrow: str, doc: str) -> None:
        self.name = name
        self.unit = unit
        self.kind = kind
        self.arrow = arrow
        self.doc = doc


MEANINGS = {
    word.name: word
    for word in (
        Meaning("time_monotonic", "ns", "time", "timestamp[ns]", "A moment on CLOCK_MONOTONIC (bpf_ktime_get_ns)."),
        Meaning("time_boot", "ns", "time", "timestamp[ns]", "A moment on CLOCK_BOOTTIME (bpf_ktime_get_boot_ns)."),
        Meaning("time_tai", "ns", "time", "timestamp[ns]", "A moment on CLOCK_TAI (bpf_ktime_get_tai_ns)."),
        Meaning("duration_ns", "ns", "duration", "duration[ns]", "A span of time in nanoseconds."),
        Meaning("duration_us", "us", "duration", "duration[us]", "A span of time in microseconds."),
        Meaning("duration_ms", "ms", "duration", "duration[ms]", "A span of time in milliseconds."),
        Meaning("pid", "", "process", "int32", "A process, as user space counts (the kernel's tgid)."),
        Meaning("tid", "", "process", "int32", "A thread (the kernel's pid)."),
        Meaning("ppid", "", "process", "int32", "The parent of a process."),
        Meaning("uid", "", "process", "uint32", "A user."),
        Meaning("gid", "", "process", "uint32", "A group of users."),
        Meaning("comm", "", "text", "string", "The name of a task, up to 15 bytes."),
        Meaning("text", "", "text", "string", "Bytes up to the first NUL."),
        Meaning("result", "", "code", "int64", "What a call or function returned: a negative errno, or a value."),
        Meaning("errno", "", "code", "int32", "An error number, of either sign; 0 is none."),
        Meaning("signal", "", "code", "int32", "A signal number."),
        Meaning(
            "exit_code", "", "code", "int32", "How a process ended, as wait(2) encodes it: status << 8, or the signal."
        ),
        Meaning("syscall", "", "code", "int32", "A system call's number on this machine's architecture."),
        Meaning(
            "compat",
            "",
            "code",
            "uint16",
            "Whether a 32-bit program called, whose system calls have other numbers.",
        ),
        Meaning("open_flags", "", "code", "uint32", "The flags of open(2)."),
        Meaning("mode", "", "code", "uint32", "The type and the permissions of a file (st_mode)."),
        Meaning(
            "device", "", "code", "uint32", "A block device (dev_t): its major number from bit 20 on, its minor below."
        ),
        Meaning("cgroup", "", "code", "uint64", "A cgroup of version 2, by its number (bpf_get_current_cgroup_id)."),
        Meaning("namespace", "", "code", "uint32", "A namespace of any kind, by its number (struct ns_common, inum)."),
        Meaning("family", "", "code", "uint16", "An address family (AF_INET ...)."),
        Meaning("protocol", "", "code", "uint16", "A protocol over IP (IPPROTO_TCP ...)."),
        Meaning("tcp_state", "", "code", "int32", "The state of a TCP connection (TCP_ESTABLISHED ...)."),
        Meaning("mac", "", "address", "binary[6]", "An address of Ethernet, in the order in which it is written."),
        Meaning("ipv4", "", "address", "binary[4]", "An IPv4 address in network byte order."),
        Meaning("ipv6", "", "address", "binary[16]", "An IPv6 address in network byte order."),
        Meaning("ip", "", "address", "binary[16]", "An IPv4 or IPv6 address; a family beside it tells, else zeros."),
        Meaning("port", "", "address", "uint16", "A port in host byte order."),
        Meaning("port_be", "", "address", "uint16", "A port in network byte order (__be16)."),
        Meaning("bytes", "bytes", "count", "uint64", "An amount of data."),
        Meaning("pointer", "", "address", "uint64", "An address in memory."),
        Meaning(
            "stack",
            "",
            "address",
            "uint64",
            "A stack of calls: its number in a map of stacks (bpf_get_stackid), or its addresses (bpf_get_stack).",
        ),
    )
}

# The words that say whose event it is, best first: a row belongs to a process tree if the number is in the tree.
PROCESS = ("pid", "tid")
