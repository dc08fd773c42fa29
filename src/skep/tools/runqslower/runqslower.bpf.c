// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* runqslower: tasks that were ready to run, and had to wait for a CPU. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

#define TASK_RUNNING 0

/// Only waits of at least so many microseconds. Takes 10ms and the like.
const volatile u64 min_us = 10000;
/// Only this thread (0: all).
const volatile pid_t tid_target = 0;
/// Only this process (0: all).
const volatile pid_t pid_target = 0;

struct event {
	u64 time;
	u32 pid;
	u32 tid;
	char comm[16];
	u64 delay_us;
	u32 previous_tid;
	char previous_comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(value, struct event);
} events SEC(".maps");

/*
 * When a thread became ready to run; 0: it is not. Threads keep their entries, which is cheaper than a new one at each turn;
 * those that have not run for longest make room.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, u64);
} ready SEC(".maps");

static int enqueue(struct task_struct *task)
{
	u32 tid = BPF_CORE_READ(task, pid), pid = BPF_CORE_READ(task, tgid);
	u64 now, *since;

	/* Thread 0 of each CPU is what runs when nothing does. */
	if (!tid || (tid_target && tid != tid_target) || (pid_target && pid != pid_target))
		return 0;
	if (!skep_task_in_scope(tid, pid))
		return 0;
	now = bpf_ktime_get_ns();
	since = bpf_map_lookup_elem(&ready, &tid);
	if (since)
		*since = now;
	else if (bpf_map_update_elem(&ready, &tid, &now, BPF_ANY))
		skep_lost();
	return 0;
}

static int run(void *ctx, bool preempt, struct task_struct *previous, struct task_struct *next)
{
	u32 tid = BPF_CORE_READ(next, pid);
	struct event event = {};
	u64 *since;

	/* What leaves the CPU and is still ready waits from now; so does what is pushed off it on its way to sleep. */
	if (preempt || skep_task_state(previous) == TASK_RUNNING)
		enqueue(previous);
	since = bpf_map_lookup_elem(&ready, &tid);
	if (!since || !*since)
		return 0;
	event.time = bpf_ktime_get_ns();
	event.delay_us = (event.time - *since) / 1000;
	*since = 0;
	if (event.delay_us < min_us)
		return 0;
	event.pid = BPF_CORE_READ(next, tgid);
	event.tid = tid;
	event.previous_tid = BPF_CORE_READ(previous, pid);
	BPF_CORE_READ_STR_INTO(&event.comm, next, comm);
	BPF_CORE_READ_STR_INTO(&event.previous_comm, previous, comm);
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event));
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(wakeup, struct task_struct *task)
{
	return enqueue(task);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(wakeup_new, struct task_struct *task)
{
	return enqueue(task);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(change, bool preempt, struct task_struct *previous, struct task_struct *next)
{
	return run(ctx, preempt, previous, next);
}

/* The same for kernels without tp_btf (before 5.5): skep uses one kind or the other, never both. */
SEC("raw_tp/sched_wakeup")
int BPF_PROG(raw_wakeup, struct task_struct *task)
{
	return enqueue(task);
}

SEC("raw_tp/sched_wakeup_new")
int BPF_PROG(raw_wakeup_new, struct task_struct *task)
{
	return enqueue(task);
}

SEC("raw_tp/sched_switch")
int BPF_PROG(raw_change, bool preempt, struct task_struct *previous, struct task_struct *next)
{
	return run(ctx, preempt, previous, next);
}

/// Shows tasks that were ready to run and had to wait long for a CPU, and who ran meanwhile.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
