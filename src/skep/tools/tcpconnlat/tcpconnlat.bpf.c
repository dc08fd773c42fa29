// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* tcpconnlat: how long the other side took to answer a TCP connection that a process opens: from SYN to SYN-ACK. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

/// Only this process (0: all).
const volatile pid_t pid_target = 0;
/// Only answers that took at least this long.
const volatile u64 min_us = 0;

struct event {
	u64 time;
	u32 pid;
	char comm[16];
	u32 family;
	u8 saddr[16];
	u8 daddr[16];
	u16 sport;
	u16 dport;
	u64 latency_us;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/*
 * Who waits, and since when. By the socket: the answer comes in an interrupt, where the current task is anybody. LRU, since
 * some answers never come: the connections that have waited longest make room.
 */
struct waiting {
	u64 since;
	u32 pid;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, u64);
	__type(value, struct waiting);
} started SEC(".maps");

static int ask(struct sock *socket)
{
	struct waiting waiting = { .since = bpf_ktime_get_ns(), .pid = bpf_get_current_pid_tgid() >> 32 };
	u64 key = (u64)socket;

	if (!skep_in_scope() || (pid_target && waiting.pid != pid_target)) {
		/* One that was asked for, and closed before an answer came, may have had the same place in memory. */
		bpf_map_delete_elem(&started, &key);
		return 0;
	}
	bpf_get_current_comm(waiting.comm, sizeof(waiting.comm));
	if (bpf_map_update_elem(&started, &key, &waiting, BPF_ANY))
		skep_lost();
	return 0;
}

static int answer(struct sock *socket, struct sk_buff *packet)
{
	u64 key = (u64)socket, latency_us;
	struct waiting *waiting;
	struct tcphdr *header;
	struct event *event;

	/* All that a connection receives comes by here, unless it is established: those that ask are few. */
	if (BPF_CORE_READ(socket, __sk_common.skc_state) != TCP_SYN_SENT)
		return 0;
	waiting = bpf_map_lookup_elem(&started, &key);
	if (!waiting)
		return 0;
	latency_us = (bpf_ktime_get_ns() - waiting->since) / 1000;
	/* A refusal (RST) is an answer, too, but not the one that is measured. */
	header = (struct tcphdr *)(BPF_CORE_READ(packet, head) + BPF_CORE_READ(packet, transport_header));
	if (!BPF_CORE_READ_BITFIELD_PROBED(header, syn) || latency_us < min_us)
		goto done;
	event = skep_reserve(&events, struct event);
	if (!event)
		goto done;
	event->time = bpf_ktime_get_ns();
	event->pid = waiting->pid;
	__builtin_memcpy(event->comm, waiting->comm, sizeof(event->comm));
	skep_read_socket(event, socket);
	event->latency_us = latency_us;
	bpf_ringbuf_submit(event, 0);
done:
	bpf_map_delete_elem(&started, &key);
	return 0;
}

/* Sends the SYN, over IPv4 and IPv6: what connect(2) did before, such as finding the way, is not measured. */
SEC("fentry/tcp_connect")
int BPF_PROG(asked, struct sock *socket)
{
	return ask(socket);
}

SEC("fentry/tcp_rcv_state_process")
int BPF_PROG(answered, struct sock *socket, struct sk_buff *packet)
{
	return answer(socket, packet);
}

/* The same for kernels that do not take fentry: skep uses one kind or the other, never both. */
SEC("kprobe/tcp_connect")
int BPF_KPROBE(probe_asked, struct sock *socket)
{
	return ask(socket);
}

SEC("kprobe/tcp_rcv_state_process")
int BPF_KPROBE(probe_answered, struct sock *socket, struct sk_buff *packet)
{
	return answer(socket, packet);
}

/// Shows how long the other side took to answer a TCP connection that a process opens: from SYN to SYN-ACK.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
