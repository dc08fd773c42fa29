/* One program on each hook of a cgroup: each says that it was called, and allows what it sees. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

struct call {
	char hook[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} calls SEC(".maps");

#define ALLOWS(section, name, context)                                                                                 \
	SEC(section) int name(struct context *ctx)                                                                     \
	{                                                                                                              \
		struct call *call = skep_reserve(&calls, struct call);                                                 \
                                                                                                                       \
		if (call) {                                                                                            \
			__builtin_memset(call, 0, sizeof(*call));                                                      \
			__builtin_memcpy(call->hook, #name, sizeof(#name));                                            \
			bpf_ringbuf_submit(call, 0);                                                                   \
		}                                                                                                      \
		return 1;                                                                                              \
	}

ALLOWS("cgroup/skb", packet, __sk_buff)
ALLOWS("cgroup_skb/ingress", ingress, __sk_buff)
ALLOWS("cgroup_skb/egress", egress, __sk_buff)
ALLOWS("cgroup/sock", sock, bpf_sock)
ALLOWS("cgroup/sock_create", sock_create, bpf_sock)
ALLOWS("cgroup/sock_release", sock_release, bpf_sock)
ALLOWS("sockops", operation, bpf_sock_ops)
ALLOWS("cgroup/dev", device, bpf_cgroup_dev_ctx)
ALLOWS("cgroup/sysctl", sysctl, bpf_sysctl)
ALLOWS("cgroup/getsockopt", getsockopt, bpf_sockopt)
ALLOWS("cgroup/setsockopt", setsockopt, bpf_sockopt)
ALLOWS("cgroup/bind4", bind4, bpf_sock_addr)
ALLOWS("cgroup/bind6", bind6, bpf_sock_addr)
ALLOWS("cgroup/post_bind4", post_bind4, bpf_sock)
ALLOWS("cgroup/post_bind6", post_bind6, bpf_sock)
ALLOWS("cgroup/connect4", connect4, bpf_sock_addr)
ALLOWS("cgroup/connect6", connect6, bpf_sock_addr)
ALLOWS("cgroup/sendmsg4", sendmsg4, bpf_sock_addr)
ALLOWS("cgroup/sendmsg6", sendmsg6, bpf_sock_addr)
ALLOWS("cgroup/recvmsg4", recvmsg4, bpf_sock_addr)
ALLOWS("cgroup/recvmsg6", recvmsg6, bpf_sock_addr)
ALLOWS("cgroup/getpeername4", getpeername4, bpf_sock_addr)
ALLOWS("cgroup/getpeername6", getpeername6, bpf_sock_addr)
ALLOWS("cgroup/getsockname4", getsockname4, bpf_sock_addr)
ALLOWS("cgroup/getsockname6", getsockname6, bpf_sock_addr)
ALLOWS("cgroup/connect_unix", connect_unix, bpf_sock_addr)
ALLOWS("cgroup/sendmsg_unix", sendmsg_unix, bpf_sock_addr)
ALLOWS("cgroup/recvmsg_unix", recvmsg_unix, bpf_sock_addr)
ALLOWS("cgroup/getpeername_unix", peername_unix, bpf_sock_addr)
ALLOWS("cgroup/getsockname_unix", sockname_unix, bpf_sock_addr)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
