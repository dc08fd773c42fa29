// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* taskswitch: which tasks took the CPU from which, and how often. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

/// Only switches from or to a thread of this process (0: all).
const volatile pid_t pid_target = 0;

/* A task before and one after. Every byte of a key counts, and this one has none that nobody writes. */
struct change {
	u32 previous_tid;
	u32 next_tid;
	char previous[16];
	char next[16];
};

/// @sample {"type": "default_kv"}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct change);
	__type(value, u64);
} switches SEC(".maps");

static bool wanted(struct task_struct *task)
{
	return (!pid_target || task->tgid == pid_target) && skep_task_in_scope(task->pid, task->tgid);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(change, bool preempt, struct task_struct *previous, struct task_struct *next)
{
	struct change change = { .previous_tid = previous->pid, .next_tid = next->pid };
	u64 none = 0, *count;

	if (!wanted(previous) && !wanted(next))
		return 0;
	__builtin_memcpy(change.previous, previous->comm, sizeof(change.previous));
	__builtin_memcpy(change.next, next->comm, sizeof(change.next));
	count = skep_entry(&switches, &change, &none);
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

/// Shows which tasks took the CPU from which, and how often.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
