// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* runqlat: how long tasks that were ready to run waited for a CPU, as a histogram. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

#define TASK_RUNNING 0
/* Ranges that double: the last begins at 2^26 us, a minute. */
#define RANGES 27

/// Only this thread (0: all).
const volatile pid_t tid_target = 0;
/// Only this process (0: all).
const volatile pid_t pid_target = 0;
/// A histogram for each process.
const volatile bool per_process = false;

struct waits {
	char comm[16];
	u32 slots[RANGES];
};

/* By process; 0 where all are counted together. */
/// @sample {"type": "log2_hist", "unit": "us", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, struct waits);
} waits SEC(".maps");

static struct waits none;

/* When a thread became ready to run. Of those that end while they wait, the oldest make room. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, u64);
} ready SEC(".maps");

static int enqueue(struct task_struct *task)
{
	u32 tid = BPF_CORE_READ(task, pid), pid = BPF_CORE_READ(task, tgid);
	u64 now = bpf_ktime_get_ns();

	/* Thread 0 of each CPU is what runs when nothing does. */
	if (!tid || (tid_target && tid != tid_target) || (pid_target && pid != pid_target))
		return 0;
	if (bpf_map_update_elem(&ready, &tid, &now, BPF_ANY))
		skep_lost();
	return 0;
}

static struct waits *waits_of(struct task_struct *task)
{
	u32 pid = per_process ? BPF_CORE_READ(task, tgid) : 0;
	struct waits *found = bpf_map_lookup_elem(&waits, &pid);

	if (found)
		return found;
	bpf_map_update_elem(&waits, &pid, &none, BPF_NOEXIST);
	found = bpf_map_lookup_elem(&waits, &pid);
	if (found && per_process)
		BPF_CORE_READ_STR_INTO(&found->comm, task, comm);
	return found;
}

static int run(bool preempt, struct task_struct *previous, struct task_struct *next)
{
	u32 tid = BPF_CORE_READ(next, pid);
	struct waits *found;
	u64 *since, delay_us, slot;

	/* What leaves the CPU and is still ready waits from now; so does what is pushed off it on its way to sleep. */
	if (preempt || skep_task_state(previous) == TASK_RUNNING)
		enqueue(previous);
	since = bpf_map_lookup_elem(&ready, &tid);
	if (!since)
		return 0;
	delay_us = (bpf_ktime_get_ns() - *since) / 1000;
	bpf_map_delete_elem(&ready, &tid);
	found = waits_of(next);
	if (!found) {
		skep_lost();
		return 0;
	}
	slot = skep_log2(delay_us);
	__sync_fetch_and_add(&found->slots[slot < RANGES ? slot : RANGES - 1], 1);
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
	return run(preempt, previous, next);
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
	return run(preempt, previous, next);
}

/// Shows how long tasks that were ready to run waited for a CPU, as a histogram.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
