// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* runqlat: how long tasks that were ready to run waited for a CPU, as a histogram. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

#define TASK_RUNNING 0
#define TASK_DEAD 0x80
/* Ranges that double: the last begins at 2^26, which is a minute in microseconds. */
#define RANGES 27

/// Only this thread (0: all).
const volatile pid_t tid_target = 0;
/// Only this process (0: all).
const volatile pid_t pid_target = 0;
/// Only tasks in the cgroup of slot 0 of cgroups, and in those below it.
const volatile bool filter_cgroup = false;
/// A histogram for each process.
const volatile bool per_process = false;
/// A histogram for each thread.
const volatile bool per_thread = false;
/// A histogram for each pid namespace, which is mostly one for each container.
const volatile bool per_pidns = false;
/// Milliseconds, not microseconds.
const volatile bool milliseconds = false;

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} cgroups SEC(".maps");

struct waits {
	char comm[16];
	u32 slots[RANGES];
};

/* By thread, process or pid namespace; 0 where all are counted together. */
/// @sample {"type": "log2_hist", "unit": "us", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, struct waits);
} waits SEC(".maps");

/* What was counted in milliseconds: each map has one unit. */
/// @sample {"type": "log2_hist", "unit": "ms", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, struct waits);
} waits_ms SEC(".maps");

static struct waits none;

/*
 * When a thread became ready to run; 0: it is not, or it sleeps, in the cgroup. Threads keep their entries, which is cheaper than
 * a new one at each turn; those that have not run for longest make room.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, u64);
} ready SEC(".maps");

static bool is_wanted(struct task_struct *task, u32 tid)
{
	u32 pid = BPF_CORE_READ(task, tgid);

	/* Thread 0 of each CPU is what runs when nothing does. */
	return tid && (!tid_target || tid == tid_target) && (!pid_target || pid == pid_target) &&
	       skep_task_in_scope(tid, pid);
}

/* Asked only of the task on the CPU. Who wakes another may be in any cgroup. */
static bool is_in_cgroup(void)
{
	return !filter_cgroup || bpf_current_task_under_cgroup(&cgroups, 0) == 1;
}

static void note(u32 tid, u64 since)
{
	u64 *known = bpf_map_lookup_elem(&ready, &tid);

	if (known)
		*known = since;
	else if (bpf_map_update_elem(&ready, &tid, &since, BPF_ANY))
		skep_lost();
}

/* Of a cgroup's tasks it is known who they are since they went to sleep. */
static int woken(struct task_struct *task)
{
	u32 tid = BPF_CORE_READ(task, pid);

	if (is_wanted(task, tid) && (!filter_cgroup || bpf_map_lookup_elem(&ready, &tid)))
		note(tid, bpf_ktime_get_ns());
	return 0;
}

/* Here it is the parent that is on the CPU, and a child begins in its parent's cgroup. */
static int born(struct task_struct *task)
{
	u32 tid = BPF_CORE_READ(task, pid);

	if (is_wanted(task, tid) && is_in_cgroup())
		note(tid, bpf_ktime_get_ns());
	return 0;
}

static void leaves(bool preempt, struct task_struct *task)
{
	unsigned int state = skep_task_state(task);
	/* What leaves the CPU and is still ready waits from now; so does what is pushed off it on its way to sleep. */
	bool waits = preempt || state == TASK_RUNNING;
	u32 tid;

	if (!waits && (!filter_cgroup || state & TASK_DEAD))
		return;
	tid = BPF_CORE_READ(task, pid);
	if (is_wanted(task, tid) && is_in_cgroup())
		note(tid, waits ? bpf_ktime_get_ns() : 0);
}

/* That in which the thread has the number that it sees itself. */
static u32 pid_namespace(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct upid number = {};

	bpf_core_read(&number, sizeof(number), &pid->numbers[level]);
	return BPF_CORE_READ(number.ns, ns.inum);
}

static void count(struct task_struct *task, u64 delay_us)
{
	bool named = per_thread || per_process;
	u64 slot = skep_log2(milliseconds ? delay_us / 1000 : delay_us);
	struct waits *found;
	u32 key = 0;

	if (per_thread)
		key = BPF_CORE_READ(task, pid);
	else if (per_process)
		key = BPF_CORE_READ(task, tgid);
	else if (per_pidns)
		key = pid_namespace(task);
	found = milliseconds ? skep_entry(&waits_ms, &key, &none) : skep_entry(&waits, &key, &none);
	if (!found)
		return;
	if (named && !found->comm[0])
		BPF_CORE_READ_STR_INTO(&found->comm, task, comm);
	__sync_fetch_and_add(&found->slots[slot < RANGES ? slot : RANGES - 1], 1);
}

static int run(bool preempt, struct task_struct *previous, struct task_struct *next)
{
	u32 tid = BPF_CORE_READ(next, pid);
	u64 *since, delay;

	leaves(preempt, previous);
	since = bpf_map_lookup_elem(&ready, &tid);
	if (!since)
		return 0;
	delay = *since ? bpf_ktime_get_ns() - *since : 0;
	/* While it runs it may move to another cgroup. */
	if (filter_cgroup)
		bpf_map_delete_elem(&ready, &tid);
	else
		*since = 0;
	if (delay)
		count(next, delay / 1000);
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(wakeup, struct task_struct *task)
{
	return woken(task);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(wakeup_new, struct task_struct *task)
{
	return born(task);
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
	return woken(task);
}

SEC("raw_tp/sched_wakeup_new")
int BPF_PROG(raw_wakeup_new, struct task_struct *task)
{
	return born(task);
}

SEC("raw_tp/sched_switch")
int BPF_PROG(raw_change, bool preempt, struct task_struct *previous, struct task_struct *next)
{
	return run(preempt, previous, next);
}

/// Shows how long tasks that were ready to run waited for a CPU, as a histogram.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
