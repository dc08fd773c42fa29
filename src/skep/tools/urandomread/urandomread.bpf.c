// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* urandomread: who reads /dev/urandom, and how much. What tells it was moved from release to release. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

/// Only this process (0: all).
const volatile pid_t pid_target = 0;

struct event {
	u64 time;
	u32 pid;
	char comm[16];
	s64 ret; /* bytes that were read, or negative errno */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

static int done(s64 ret)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct event *event;

	if (!skep_in_scope() || (pid_target && pid != pid_target))
		return 0;
	event = skep_reserve(&events, struct event);
	if (!event)
		return 0;
	event->time = bpf_ktime_get_ns();
	event->pid = pid;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->ret = ret;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* Up to Linux 5.17 there is a tracepoint, which counts in bits (struct trace_event_raw_urandom_read of its vmlinux.h). */
struct urandom_read {
	u64 head;
	int got_bits;
};

/// @oneof reading
SEC("tp/random/urandom_read")
int traced(struct urandom_read *ctx)
{
	return done((u32)ctx->got_bits / 8);
}

/* Since Linux 5.19 (commit 1b388e7765f2) the function takes an iterator. */
/// @oneof reading
SEC("fexit/urandom_read_iter")
int BPF_PROG(returned, struct kiocb *file, struct iov_iter *to, ssize_t ret)
{
	return done(ret);
}

/* The same where fexit is not to be had. */
/// @oneof reading
SEC("kretprobe/urandom_read_iter")
int BPF_KRETPROBE(probed, ssize_t ret)
{
	return done(ret);
}

/* In Linux 5.18 there is neither. */
/// @oneof reading
SEC("kretprobe/urandom_read")
int BPF_KRETPROBE(probed_518, ssize_t ret)
{
	return done(ret);
}

/// Shows who reads /dev/urandom, and how much.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
