// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* tailcalls: system calls, each handled by a program of its own: one looks the number up in a table, and jumps. */
#include "vmlinux.h"
#include <asm/unistd.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

/// Only this process (0: all).
const volatile pid_t pid_target = 0;

struct event {
	u64 time;
	u32 pid;
	char comm[16];
	u32 syscall;
	char text[128]; /* what the call's own program says of it */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* Those that programs jump to are of the same kind as those that jump. The numbers are those of system calls. */
int opened(struct bpf_raw_tracepoint_args *ctx);
int written(struct bpf_raw_tracepoint_args *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 512);
	__type(key, u32);
	__array(values, int (struct bpf_raw_tracepoint_args *));
} handlers SEC(".maps") = {
	.values = {
		[__NR_openat] = (void *)&opened,
		[__NR_write] = (void *)&written,
	},
};

static struct event *begin(u32 syscall)
{
	struct event *event = skep_reserve(&events, struct event);

	if (!event)
		return NULL;
	event->time = bpf_ktime_get_ns();
	event->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->syscall = syscall;
	event->text[0] = 0;
	return event;
}

SEC("raw_tp/sys_enter")
int dispatch(struct bpf_raw_tracepoint_args *ctx)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;

	if (!skep_in_scope() || (pid_target && pid != pid_target) || skep_is_compat())
		return 0;
	/* It does not come back: what follows runs where the table has nothing at this number. */
	bpf_tail_call(ctx, &handlers, ctx->args[1]);
	return 0;
}

/// @link false
SEC("raw_tp/sys_enter")
int opened(struct bpf_raw_tracepoint_args *ctx)
{
	struct event *event = begin(__NR_openat);

	if (!event)
		return 0;
	if (bpf_probe_read_user_str(event->text, sizeof(event->text),
				    (char *)PT_REGS_PARM2_CORE_SYSCALL((struct pt_regs *)ctx->args[0])) < 0)
		event->text[0] = 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// @link false
SEC("raw_tp/sys_enter")
int written(struct bpf_raw_tracepoint_args *ctx)
{
	struct event *event = begin(__NR_write);

	if (!event)
		return 0;
	BPF_SNPRINTF(event->text, sizeof(event->text), "%lu bytes to %d",
		     PT_REGS_PARM3_CORE_SYSCALL((struct pt_regs *)ctx->args[0]),
		     (int)PT_REGS_PARM1_CORE_SYSCALL((struct pt_regs *)ctx->args[0]));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* For any other call: --fill handlers=NUMBER:seen. */
/// @link false
SEC("raw_tp/sys_enter")
int seen(struct bpf_raw_tracepoint_args *ctx)
{
	struct event *event = begin(ctx->args[1]);

	if (event)
		bpf_ringbuf_submit(event, 0);
	return 0;
}

/// Shows system calls, each handled by a program of its own, which a table of programs leads to.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
