/* Mistakes with what has to be given back. The line below each `fails:` is the one that the verifier has to refuse. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct event {
	u32 pid;
	u32 kind;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("?tp/syscalls/sys_enter_getppid")
int never_submitted(struct trace_event_raw_sys_enter *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return 0;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	/* fails: reference-leak */
	if (event->pid == 1)
		return 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int used_after_submit(struct trace_event_raw_sys_enter *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return 0;
	event->pid = 1;
	bpf_ringbuf_submit(event, 0);
	/* fails: use-after-release */
	event->kind = 2;
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int submitted_twice(struct trace_event_raw_sys_enter *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return 0;
	event->pid = 1;
	bpf_ringbuf_submit(event, 0);
	/* fails: use-after-release */
	bpf_ringbuf_discard(event, 0);
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int reserve_not_tested(struct trace_event_raw_sys_enter *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	/* fails: null-pointer */
	event->pid = 1;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int past_the_record(struct trace_event_raw_sys_enter *ctx)
{
	u64 *event = bpf_ringbuf_reserve(&events, 8, 0);

	if (!event)
		return 0;
	/* fails: memory-bounds */
	event[1] = 1;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("?tc")
int socket_kept(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);

	if (!sk)
		return 0;
	return sk->family == 2; /* fails: reference-leak */
}

SEC("?tp/syscalls/sys_enter_getppid")
int size_varies(struct trace_event_raw_sys_enter *ctx)
{
	u64 size = ctx->args[0];
	/* fails: constant-argument */
	struct event *event = bpf_ringbuf_reserve(&events, size, 0);

	if (event)
		bpf_ringbuf_discard(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
