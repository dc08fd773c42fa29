// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* sigsnoop: every signal that a process sends, to whom, and whether it was allowed. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

/// Only signals sent by this process (0: by all).
const volatile pid_t pid_target = 0;
/// Only this signal: SIGTERM, or its number (0: all).
/// @format signal
const volatile int signal_target = 0;
/// Only signals that could not be sent.
const volatile bool failed_only = false;

struct event {
	u64 time;
	u32 pid;
	u32 tid;
	char comm[16];
	s32 target; /* process or thread; with a minus sign, a process group */
	s32 signal;
	s32 ret;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* What a thread asked for, from the entry of its call to the exit. One thread has one system call at a time. */
struct sent {
	s32 target;
	s32 signal;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, struct sent);
} started SEC(".maps");

static int enter(s32 target, s32 signal)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, pid = id >> 32;
	struct sent sent = { .target = target, .signal = signal };

	if (!skep_in_scope() || (pid_target && pid != pid_target) || (signal_target && signal != signal_target))
		return 0;
	if (bpf_map_update_elem(&started, &tid, &sent, BPF_ANY))
		skep_lost();
	return 0;
}

static int leave(long ret)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id;
	struct sent *sent = bpf_map_lookup_elem(&started, &tid);
	struct event *event;

	if (!sent)
		return 0;
	if (failed_only && ret >= 0)
		goto done;
	event = skep_reserve(&events, struct event);
	if (!event)
		goto done;
	event->time = bpf_ktime_get_ns();
	event->pid = id >> 32;
	event->tid = tid;
	event->target = sent->target;
	event->signal = sent->signal;
	event->ret = ret;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
done:
	bpf_map_delete_elem(&started, &tid);
	return 0;
}

SEC("tp/syscalls/sys_enter_kill")
int enter_kill(struct skep_sys_enter *ctx)
{
	return enter(ctx->args[0], ctx->args[1]);
}

SEC("tp/syscalls/sys_exit_kill")
int exit_kill(struct skep_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tp/syscalls/sys_enter_tkill")
int enter_tkill(struct skep_sys_enter *ctx)
{
	return enter(ctx->args[0], ctx->args[1]);
}

SEC("tp/syscalls/sys_exit_tkill")
int exit_tkill(struct skep_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/* tgkill(2) names the process first, and the thread in it, which is who gets the signal. */
SEC("tp/syscalls/sys_enter_tgkill")
int enter_tgkill(struct skep_sys_enter *ctx)
{
	return enter(ctx->args[1], ctx->args[2]);
}

SEC("tp/syscalls/sys_exit_tgkill")
int exit_tgkill(struct skep_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/// Shows every signal that a process sends: to whom, which, and whether it was allowed.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
