// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* tcpstates: every change of state of a TCP connection, and how long it was in the state before. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

/* include/linux/socket.h: macros, which BTF does not have. */
#define AF_INET 2

enum family { ANY = 0, IPV4 = 2, IPV6 = 10 };

/// Only connections that this process opened (0: all).
const volatile pid_t pid_target = 0;
/// Only connections with this port on either side (0: all).
const volatile u16 port_target = 0;
/// Only connections over IPV4, or over IPV6.
const volatile enum family family_target = ANY;

struct event {
	u64 time;
	u32 pid; /* that opened it, as the next; 0: it came from outside, or was open before */
	char comm[16];
	u32 family;
	u8 saddr[16];
	u8 daddr[16];
	u16 sport; /* the local one */
	u16 dport;
	u16 oldstate;
	u16 newstate;
	u64 duration_us; /* in the old state; 0: since before this run */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/*
 * What is known of a connection, by its socket: most changes happen in an interrupt, where the current task is anybody.
 */
struct connection {
	u64 since;
	u32 pid;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u64);
	__type(value, struct connection);
} connections SEC(".maps");

static void send(struct trace_event_raw_inet_sock_set_state *ctx, struct connection *connection, u64 now)
{
	struct event *event = skep_reserve(&events, struct event);

	if (!event)
		return;
	event->time = now;
	event->pid = connection->pid;
	__builtin_memcpy(event->comm, connection->comm, sizeof(event->comm));
	event->family = ctx->family;
	event->sport = ctx->sport;
	event->dport = ctx->dport;
	event->oldstate = ctx->oldstate;
	event->newstate = ctx->newstate;
	__builtin_memset(event->saddr, 0, sizeof(event->saddr));
	__builtin_memset(event->daddr, 0, sizeof(event->daddr));
	/* By a helper: a compiler may copy by way of a pointer into the context, which the verifier refuses. */
	if (ctx->family == AF_INET) {
		bpf_probe_read_kernel(event->saddr, sizeof(ctx->saddr), ctx->saddr);
		bpf_probe_read_kernel(event->daddr, sizeof(ctx->daddr), ctx->daddr);
	} else {
		bpf_probe_read_kernel(event->saddr, sizeof(ctx->saddr_v6), ctx->saddr_v6);
		bpf_probe_read_kernel(event->daddr, sizeof(ctx->daddr_v6), ctx->daddr_v6);
	}
	event->duration_us = connection->since ? (now - connection->since) / 1000 : 0;
	bpf_ringbuf_submit(event, 0);
}

SEC("tp/sock/inet_sock_set_state")
int changed(struct trace_event_raw_inet_sock_set_state *ctx)
{
	u64 socket = (u64)ctx->skaddr, now = bpf_ktime_get_ns();
	struct connection new = {}, *known;
	bool opened = ctx->newstate == TCP_SYN_SENT || ctx->newstate == TCP_LISTEN;

	if (ctx->protocol != IPPROTO_TCP || (family_target && ctx->family != family_target) ||
	    (port_target && ctx->sport != port_target && ctx->dport != port_target))
		return 0;
	/* connect(2) and listen(2) are calls of the process itself: here the current task is the right one. */
	if (opened) {
		new.pid = bpf_get_current_pid_tgid() >> 32;
		if (!skep_in_scope() || (pid_target && new.pid != pid_target))
			return 0;
		bpf_get_current_comm(new.comm, sizeof(new.comm));
	}
	known = bpf_map_lookup_elem(&connections, &socket);
	if (!known || opened) {
		/* A connection that nobody in question opened. */
		if (!opened && (skep_scoped || pid_target))
			return 0;
		known = &new;
	}
	send(ctx, known, now);
	if (ctx->newstate == TCP_CLOSE) {
		bpf_map_delete_elem(&connections, &socket);
		return 0;
	}
	new = *known;
	new.since = now;
	if (bpf_map_update_elem(&connections, &socket, &new, BPF_ANY))
		skep_lost();
	return 0;
}

/// Shows every change of state of a TCP connection, and how long it was in the state before.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
