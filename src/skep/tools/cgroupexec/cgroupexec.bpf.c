// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* cgroupexec: every program that is executed in one cgroup, or in one below it. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "skep.h"

#define NAME_SIZE 256

/* Slot 0 holds the cgroup. While it is empty, nobody is in it: --cgroup PATH fills it. */
/// @required
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} cgroups SEC(".maps");

struct event {
	u64 time;
	u32 pid;
	u32 ppid;
	u32 uid;
	char comm[16];
	char filename[NAME_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

SEC("tp/sched/sched_process_exec")
int executed(struct trace_event_raw_sched_process_exec *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct event *event;

	/* 1: the task is in that cgroup or below it; 0: it is not; less: there is none in the slot. */
	if (bpf_current_task_under_cgroup(&cgroups, 0) != 1 || !skep_in_scope())
		return 0;
	event = skep_reserve(&events, struct event);
	if (!event)
		return 0;
	event->time = bpf_ktime_get_ns();
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	/* Where text lies in the record of a tracepoint is told in the record: 16 bits of place below 16 bits of length. */
	bpf_probe_read_kernel_str(event->filename, sizeof(event->filename),
				  (void *)ctx + (ctx->__data_loc_filename & 0xFFFF));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// Shows every program that is executed in one cgroup, or in one below it.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
