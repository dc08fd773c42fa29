"""Numbers of the kernel's that scripts name as BCC does.

Source: include/uapi/linux/bpf.h, perf_event.h, if_link.h.
"""

from __future__ import annotations

__all__ = [
    "DEBUGFS",
    "DEBUG_BPF",
    "DEBUG_BPF_REGISTER_STATE",
    "DEBUG_BTF",
    "DEBUG_LLVM_IR",
    "DEBUG_PREPROCESSOR",
    "DEBUG_SOURCE",
    "TRACEFS",
    "BPFAttachType",
    "BPFProgType",
    "PerfEventSampleFormat",
    "PerfHWConfig",
    "PerfSWConfig",
    "PerfType",
    "XDPAction",
    "XDPFlags",
]

# Where scripts look for themselves.
DEBUGFS, TRACEFS = "/sys/kernel/debug", "/sys/kernel/tracing"
DEBUG_LLVM_IR, DEBUG_BPF, DEBUG_PREPROCESSOR, DEBUG_SOURCE = 1, 2, 4, 8
DEBUG_BPF_REGISTER_STATE, DEBUG_BTF = 16, 32


class PerfType:
    """Kinds of perf events (enum perf_type_id)."""

    HARDWARE, SOFTWARE, TRACEPOINT, HW_CACHE, RAW, BREAKPOINT = range(6)


class PerfHWConfig:
    """What processors count (enum perf_hw_id)."""

    CPU_CYCLES, INSTRUCTIONS, CACHE_REFERENCES, CACHE_MISSES, BRANCH_INSTRUCTIONS = range(5)
    BRANCH_MISSES, BUS_CYCLES, STALLED_CYCLES_FRONTEND, STALLED_CYCLES_BACKEND, REF_CPU_CYCLES = range(5, 10)


class PerfSWConfig:
    """What the kernel counts (enum perf_sw_ids)."""

    CPU_CLOCK, TASK_CLOCK, PAGE_FAULTS, CONTEXT_SWITCHES, CPU_MIGRATIONS, PAGE_FAULTS_MIN = range(6)
    PAGE_FAULTS_MAJ, ALIGNMENT_FAULTS, EMULATION_FAULTS, DUMMY, BPF_OUTPUT = range(6, 11)


class PerfEventSampleFormat:
    """What a sample holds (enum perf_event_sample_format)."""

    IP, TID, TIME, ADDR, READ, CALLCHAIN, ID, CPU, PERIOD, STREAM_ID = (1 << bit for bit in range(10))
    RAW, BRANCH_STACK, REGS_USER, STACK_USER, WEIGHT, DATA_SRC = (1 << bit for bit in range(10, 16))
    IDENTIFIER, TRANSACTION, REGS_INTR, PHYS_ADDR, AUX, CGROUP = (1 << bit for bit in range(16, 22))
    DATA_PAGE_SIZE, CODE_PAGE_SIZE, WEIGHT_STRUCT = (1 << bit for bit in range(22, 25))


class BPFProgType:
    """Types of programs (enum bpf_prog_type)."""

    SOCKET_FILTER, KPROBE, SCHED_CLS, SCHED_ACT, TRACEPOINT, XDP, PERF_EVENT, CGROUP_SKB = range(1, 9)
    CGROUP_SOCK, LWT_IN, LWT_OUT, LWT_XMIT, SOCK_OPS, SK_SKB, CGROUP_DEVICE, SK_MSG = range(9, 17)
    RAW_TRACEPOINT, CGROUP_SOCK_ADDR = 17, 18
    CGROUP_SYSCTL, RAW_TRACEPOINT_WRITABLE, CGROUP_SOCKOPT, TRACING, LSM = 23, 24, 25, 26, 29


class BPFAttachType:
    """Places of programs that need one (enum bpf_attach_type)."""

    CGROUP_INET_INGRESS, CGROUP_INET_EGRESS, CGROUP_INET_SOCK_CREATE, CGROUP_SOCK_OPS = range(4)
    SK_SKB_STREAM_PARSER, SK_SKB_STREAM_VERDICT, CGROUP_DEVICE, SK_MSG_VERDICT = range(4, 8)
    CGROUP_INET4_BIND, CGROUP_INET6_BIND, CGROUP_INET4_CONNECT, CGROUP_INET6_CONNECT = range(8, 12)
    CGROUP_INET4_POST_BIND, CGROUP_INET6_POST_BIND, CGROUP_UDP4_SENDMSG, CGROUP_UDP6_SENDMSG = range(12, 16)
    LIRC_MODE2, FLOW_DISSECTOR, CGROUP_SYSCTL, CGROUP_UDP4_RECVMSG, CGROUP_UDP6_RECVMSG = range(16, 21)
    CGROUP_GETSOCKOPT, CGROUP_SETSOCKOPT, TRACE_RAW_TP, TRACE_FENTRY, TRACE_FEXIT = range(21, 26)
    MODIFY_RETURN, LSM_MAC, TRACE_ITER, CGROUP_INET4_GETPEERNAME, CGROUP_INET6_GETPEERNAME = range(26, 31)
    CGROUP_INET4_GETSOCKNAME, CGROUP_INET6_GETSOCKNAME, XDP_DEVMAP = range(31, 34)
    CGROUP_INET_SOCK_RELEASE, XDP_CPUMAP, SK_LOOKUP, XDP, SK_SKB_VERDICT = range(34, 39)


class XDPAction:
    """What becomes of a packet (enum xdp_action)."""

    XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT = range(5)


class XDPFlags:
    """Where an XDP program runs."""

    UPDATE_IF_NOEXIST, SKB_MODE, DRV_MODE, HW_MODE, REPLACE = (1 << bit for bit in range(5))
