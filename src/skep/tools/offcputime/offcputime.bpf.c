// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* offcputime: what threads waited for: stacks of calls that slept, and how long. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

#define TASK_RUNNING 0
#define TASK_DEAD 0x80

/// Only this process (0: all).
const volatile pid_t pid_target = 0;
/// Only sleeps of at least this long (us).
const volatile u64 min_us = 1;
/// Only the part of the stacks in user space.
const volatile bool user_only = false;
/// Only the part of the stacks in the kernel.
const volatile bool kernel_only = false;

struct where {
	u32 pid;
	char comm[16];
	s32 kernel_stack;
	s32 user_stack;
};

struct slept {
	u64 sleeps;
	u64 slept_ns;
};

struct sleep {
	struct where where;
	u64 since;
};

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16384);
	__type(key, u32);
} stacks SEC(".maps");

/// @sample {}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct where);
	__type(value, struct slept);
} sleeps SEC(".maps");

/* Threads that sleep now. Of those that never wake, the oldest make room. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct sleep);
} asleep SEC(".maps");

static struct slept none;

/* Still on its CPU: the stacks are its own. */
static void sleeps_from_now(void *ctx)
{
	struct sleep sleep = {.where = {.kernel_stack = -14, .user_stack = -14}}; /* EFAULT: there is none */
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id;

	sleep.where.pid = id >> 32;
	/* Thread 0 of each CPU is what runs when nothing does. */
	if (!tid || (pid_target && sleep.where.pid != pid_target) || !skep_in_scope())
		return;
	bpf_get_current_comm(sleep.where.comm, sizeof(sleep.where.comm));
	if (!user_only)
		sleep.where.kernel_stack = bpf_get_stackid(ctx, &stacks, 0);
	if (!kernel_only)
		sleep.where.user_stack = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	sleep.since = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&asleep, &tid, &sleep, BPF_ANY))
		skep_lost();
}

static void woke(u32 tid)
{
	struct sleep *sleep = bpf_map_lookup_elem(&asleep, &tid);
	struct where where;
	struct slept *found;
	u64 slept;

	if (!sleep)
		return;
	slept = bpf_ktime_get_ns() - sleep->since;
	where = sleep->where;
	bpf_map_delete_elem(&asleep, &tid);
	if (slept < min_us * 1000)
		return;
	found = skep_entry(&sleeps, &where, &none);
	if (!found)
		return;
	__sync_fetch_and_add(&found->sleeps, 1);
	__sync_fetch_and_add(&found->slept_ns, slept);
}

static int change(void *ctx, bool preempt, struct task_struct *previous, struct task_struct *next)
{
	unsigned int state = skep_task_state(previous);

	/* What is pushed off its CPU on its way to sleep goes on with that later; what is dead never wakes. */
	if (!preempt && state != TASK_RUNNING && !(state & TASK_DEAD))
		sleeps_from_now(ctx);
	woke(BPF_CORE_READ(next, pid));
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(typed_change, bool preempt, struct task_struct *previous, struct task_struct *next)
{
	return change(ctx, preempt, previous, next);
}

/* The same for kernels without tp_btf (before 5.5): skep uses one kind or the other, never both. */
SEC("raw_tp/sched_switch")
int BPF_PROG(raw_change, bool preempt, struct task_struct *previous, struct task_struct *next)
{
	return change(ctx, preempt, previous, next);
}

/// Shows what threads waited for: stacks of calls that slept, and how long.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
