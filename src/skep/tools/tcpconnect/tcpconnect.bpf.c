// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* tcpconnect: every TCP connection that a process opens, and to whom. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

/// Only this process (0: all).
const volatile pid_t pid_target = 0;
/// Only connections to this port (0: all).
const volatile u16 port_target = 0;

struct event {
	u64 time;
	u32 pid;
	char comm[16];
	u32 family;
	u8 saddr[16];
	u8 daddr[16];
	u16 sport;
	u16 dport;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

static int connect(struct sock *socket)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct event *event;

	if (!skep_in_scope() || (pid_target && pid != pid_target))
		return 0;
	if (port_target && BPF_CORE_READ(socket, __sk_common.skc_dport) != bpf_htons(port_target))
		return 0;
	event = skep_reserve(&events, struct event);
	if (!event)
		return 0;
	event->time = bpf_ktime_get_ns();
	event->pid = pid;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	skep_read_socket(event, socket);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* Sends the first packet, over IPv4 and IPv6. By then the socket has both addresses and both ports. */
SEC("fentry/tcp_connect")
int BPF_PROG(connected, struct sock *socket)
{
	return connect(socket);
}

/* The same for kernels that do not take fentry: skep uses one or the other, never both. */
SEC("kprobe/tcp_connect")
int BPF_KPROBE(probe_connected, struct sock *socket)
{
	return connect(socket);
}

/// Shows every TCP connection that a process opens: who, from where, and to whom.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
