// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* tcpclose: every TCP connection that a process closes, with whom, and which side closed first. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

/// Only this process (0: all).
const volatile pid_t pid_target = 0;
/// Only connections with this port on either side (0: all).
const volatile u16 port_target = 0;

struct event {
	u64 time;
	u32 pid;
	char comm[16];
	u32 family;
	u8 saddr[16];
	u8 daddr[16];
	u16 sport; /* the local one */
	u16 dport;
	/// @format tcp_state
	u32 state; /* CLOSE_WAIT: the other side closed first */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

static int close(struct sock *socket)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	__be16 dport = BPF_CORE_READ(socket, __sk_common.skc_dport);
	struct event *event;

	/* A socket that listens, or was never connected, has nobody on its other side. */
	if (!dport || !skep_in_scope() || (pid_target && pid != pid_target))
		return 0;
	if (port_target && dport != bpf_htons(port_target) &&
	    BPF_CORE_READ(socket, __sk_common.skc_num) != port_target)
		return 0;
	event = skep_reserve(&events, struct event);
	if (!event)
		return 0;
	event->time = bpf_ktime_get_ns();
	event->pid = pid;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	skep_read_socket(event, socket);
	event->state = BPF_CORE_READ(socket, __sk_common.skc_state);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* What close(2) leads to, and the end of a process that has not closed. */
SEC("fentry/tcp_close")
int BPF_PROG(closed, struct sock *socket)
{
	return close(socket);
}

/* The same for kernels that do not take fentry: skep uses one or the other, never both. */
SEC("kprobe/tcp_close")
int BPF_KPROBE(probe_closed, struct sock *socket)
{
	return close(socket);
}

/// Shows every TCP connection that a process closes: who, with whom, and which side closed first.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
