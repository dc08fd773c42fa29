"""The section that means what a script asks for when it loads a program: a type, and a place where that says more.

Source: include/uapi/linux/bpf.h (enum bpf_prog_type, enum bpf_attach_type).
"""

from __future__ import annotations

from skep.bcc.constants import BPFAttachType, BPFProgType

__all__ = ["section_of"]

# enum bpf_prog_type -> a section that means it; of tracing and LSM, the function's name says which.
_SECTIONS = {
    BPFProgType.SOCKET_FILTER: "socket",
    BPFProgType.KPROBE: "kprobe",
    BPFProgType.SCHED_CLS: "tc",
    BPFProgType.SCHED_ACT: "action",
    BPFProgType.TRACEPOINT: "tp",
    BPFProgType.XDP: "xdp",
    BPFProgType.PERF_EVENT: "perf_event",
    BPFProgType.CGROUP_SKB: "cgroup/skb",
    BPFProgType.CGROUP_SOCK: "cgroup/sock",
    BPFProgType.LWT_IN: "lwt_in",
    BPFProgType.LWT_OUT: "lwt_out",
    BPFProgType.LWT_XMIT: "lwt_xmit",
    BPFProgType.SOCK_OPS: "sockops",
    BPFProgType.SK_SKB: "sk_skb",
    BPFProgType.CGROUP_DEVICE: "cgroup/dev",
    BPFProgType.SK_MSG: "sk_msg",
    BPFProgType.RAW_TRACEPOINT: "raw_tp",
    BPFProgType.RAW_TRACEPOINT_WRITABLE: "raw_tp.w",
    BPFProgType.CGROUP_SYSCTL: "cgroup/sysctl",
    BPFProgType.TRACING: "",
    BPFProgType.LSM: "",
}
# enum bpf_attach_type -> a section that means it, where the type of the program does not tell.
_PLACES = {
    BPFAttachType.CGROUP_INET_INGRESS: "cgroup_skb/ingress",
    BPFAttachType.CGROUP_INET_EGRESS: "cgroup_skb/egress",
    BPFAttachType.SK_SKB_STREAM_PARSER: "sk_skb/stream_parser",
    BPFAttachType.SK_SKB_STREAM_VERDICT: "sk_skb/stream_verdict",
    BPFAttachType.CGROUP_INET4_BIND: "cgroup/bind4",
    BPFAttachType.CGROUP_INET6_BIND: "cgroup/bind6",
    BPFAttachType.CGROUP_INET4_CONNECT: "cgroup/connect4",
    BPFAttachType.CGROUP_INET6_CONNECT: "cgroup/connect6",
    BPFAttachType.CGROUP_INET4_POST_BIND: "cgroup/post_bind4",
    BPFAttachType.CGROUP_INET6_POST_BIND: "cgroup/post_bind6",
    BPFAttachType.CGROUP_UDP4_SENDMSG: "cgroup/sendmsg4",
    BPFAttachType.CGROUP_UDP6_SENDMSG: "cgroup/sendmsg6",
    BPFAttachType.CGROUP_UDP4_RECVMSG: "cgroup/recvmsg4",
    BPFAttachType.CGROUP_UDP6_RECVMSG: "cgroup/recvmsg6",
    BPFAttachType.CGROUP_GETSOCKOPT: "cgroup/getsockopt",
    BPFAttachType.CGROUP_SETSOCKOPT: "cgroup/setsockopt",
    BPFAttachType.CGROUP_INET4_GETPEERNAME: "cgroup/getpeername4",
    BPFAttachType.CGROUP_INET6_GETPEERNAME: "cgroup/getpeername6",
    BPFAttachType.CGROUP_INET4_GETSOCKNAME: "cgroup/getsockname4",
    BPFAttachType.CGROUP_INET6_GETSOCKNAME: "cgroup/getsockname6",
    BPFAttachType.CGROUP_INET_SOCK_RELEASE: "cgroup/sock_release",
}


def section_of(prog_type: int, attach_type: int) -> str | None:
    """A section of that meaning; "" where the name of the function says which, None where skep has none.

    Args:
        prog_type: of `BPFProgType`.
        attach_type: of `BPFAttachType`; -1 where nothing is said.
    """
    return _PLACES.get(attach_type, _SECTIONS.get(prog_type))
