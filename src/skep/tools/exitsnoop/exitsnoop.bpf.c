// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* exitsnoop: every process that ends, after how long, and how. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "skep.h"

/// Only this process (0: all).
const volatile pid_t pid_target = 0;

struct event {
	u64 time;
	u32 pid;
	u32 ppid;
	char comm[16];
	u64 age_ns;
	/// @format exit_code
	u32 exit_code; /* as in wait(2): status << 8, or the signal that ended it */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* A thread that executes a program ends all others of its process, and takes the place of the first: nothing has ended. */
static bool is_replaced(struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	/* Since Linux 5.17 (commit 60700e38fb68) it is told apart from other ends. */
	return bpf_core_field_exists(signal->group_exec_task) && BPF_CORE_READ(signal, group_exec_task);
}

SEC("tp/sched/sched_process_exit")
int leave(void *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	u32 pid = id >> 32;
	struct event *event;

	/* The first thread stands for its process; the ends of the others are left out. */
	if ((u32)id != pid || !skep_in_scope() || (pid_target && pid != pid_target) || is_replaced(task))
		return 0;
	event = skep_reserve(&events, struct event);
	if (!event)
		return 0;
	event->time = now;
	event->pid = pid;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->age_ns = now - BPF_CORE_READ(task, start_time);
	event->exit_code = BPF_CORE_READ(task, exit_code);
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// Shows every process that ends: how old it was, and its exit status or signal.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
