// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* funcdepth: every system call with the function of the program that it came from, and how deep in calls that was. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

#define DEEPEST 64
/* uretprobe(2) and uprobe(2) of x86-64: the kernel's own way into probes, not the program's into the kernel. */
#define URETPROBE 335
#define UPROBE 336

/// Only this process (0: all).
const volatile pid_t pid_target = 0;

struct event {
	u64 time;
	u32 pid;
	u32 tid;
	char comm[16];
	u32 depth; /* of the functions that are traced */
	u32 syscall;
	u32 compat; /* a 32-bit program called */
	/// @format stack
	u64 function[1]; /* the innermost */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
} events SEC(".maps");

/* The traced functions that a thread is in. */
struct calls {
	u32 depth;
	u64 functions[DEEPEST];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, struct calls);
} threads SEC(".maps");

static struct calls none;

/// @required
SEC("uprobe.multi")
int BPF_UPROBE(entered)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, pid = id >> 32;
	struct calls *calls;

	if (!skep_in_scope() || (pid_target && pid != pid_target))
		return 0;
	calls = skep_entry(&threads, &tid, &none);
	if (!calls)
		return 0;
	/* The probe is at the function's first instruction. */
	if (calls->depth < DEEPEST)
		calls->functions[calls->depth] = PT_REGS_IP(ctx);
	calls->depth++;
	return 0;
}

SEC("uretprobe.multi")
int BPF_URETPROBE(returned)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct calls *calls = bpf_map_lookup_elem(&threads, &tid);

	if (!calls)
		return 0;
	if (calls->depth > 1)
		calls->depth--;
	else
		bpf_map_delete_elem(&threads, &tid);
	return 0;
}

/* Who executes another program, or ends, does not return. */
static int forget(void)
{
	u32 tid = bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&threads, &tid);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int executed(void *ctx)
{
	return forget();
}

SEC("raw_tp/sched_process_exit")
int ended(void *ctx)
{
	return forget();
}

SEC("raw_tp/sys_enter")
int BPF_PROG(called, struct pt_regs *registers, long number)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, innermost;
	struct calls *calls = bpf_map_lookup_elem(&threads, &tid);
	bool compat;
	struct event *event;

	if (!calls)
		return 0;
	compat = skep_is_compat();
	/* To a 32-bit program these numbers are others. */
	if (!compat && (number == URETPROBE || number == UPROBE))
		return 0;
	event = skep_reserve(&events, struct event);
	if (!event)
		return 0;
	innermost = calls->depth - 1;
	event->time = bpf_ktime_get_ns();
	event->pid = id >> 32;
	event->tid = tid;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->syscall = number;
	event->compat = compat;
	event->depth = calls->depth;
	event->function[0] = innermost < DEEPEST ? calls->functions[innermost] : 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// Shows every system call with the function of the program that it came from, and how deep in calls that was.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
