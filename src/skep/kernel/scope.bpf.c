// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Follows a process tree: every thread and process that descends from those put into skep_tree (src/skep/kernel/scope.py).
 * A new task is entered by its parent, in the kernel, before it first runs: its own events always find it here.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Thread or process id -> process id. Ids stay to the end of the run: a task's last events may be read after its death. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u32);
} skep_tree SEC(".maps");

/* Tasks for which the map had no room. */
__u64 missed;

SEC("tp_btf/sched_process_fork")
int BPF_PROG(follow, struct task_struct *parent, struct task_struct *child)
{
	__u32 thread = parent->pid, process = parent->tgid, id = child->pid, owner = child->tgid;

	if (!bpf_map_lookup_elem(&skep_tree, &process) && !bpf_map_lookup_elem(&skep_tree, &thread)) {
		/* A stranger: if its number was one of ours, ours is dead and the number is used again. */
		bpf_map_delete_elem(&skep_tree, &id);
		return 0;
	}
	if (bpf_map_update_elem(&skep_tree, &id, &owner, BPF_ANY))
		__sync_fetch_and_add(&missed, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
