// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* bootstrap: programs that start and end, and how long they lived: two programs that share a map. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "skep.h"

#define NAME_SIZE 256

/// Only processes that lived at least so long; their starts are then left out (0: all). Takes 10ms and the like.
const volatile u64 min_duration_ns = 0;

enum what { EXEC, EXIT };

struct event {
	u64 time;
	enum what what;
	u32 pid;
	u32 ppid;
	char comm[16];
	/// @format exit_code
	u32 exit_code;
	u64 duration_ns; /* of an exit; 0 if the start was not seen */
	char filename[NAME_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* When a process executed its program. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, u64);
} starts SEC(".maps");

static struct event *begin(enum what what, u64 now)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct event *event = skep_reserve(&events, struct event);

	if (!event)
		return NULL;
	event->time = now;
	event->what = what;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->exit_code = 0;
	event->duration_ns = 0;
	event->filename[0] = 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	return event;
}

SEC("tp/sched/sched_process_exec")
int started(struct trace_event_raw_sched_process_exec *ctx)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	u64 now = bpf_ktime_get_ns();
	struct event *event;

	if (!skep_in_scope())
		return 0;
	if (bpf_map_update_elem(&starts, &pid, &now, BPF_ANY))
		skep_lost();
	event = min_duration_ns ? NULL : begin(EXEC, now);
	if (!event)
		return 0;
	/* A string of a tracepoint lies behind its fields: the lower half of __data_loc is where. */
	bpf_probe_read_kernel_str(event->filename, sizeof(event->filename),
				  (void *)ctx + (ctx->__data_loc_filename & 0xffff));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* A thread that executes a program ends all others of its process, and takes the place of the first: nothing has ended. */
static bool is_replaced(struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	/* Since Linux 5.17 (commit 60700e38fb68) it is told apart from other ends. */
	return bpf_core_field_exists(signal->group_exec_task) && BPF_CORE_READ(signal, group_exec_task);
}

SEC("tp/sched/sched_process_exit")
int ended(void *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns(), duration = 0, *start;
	u32 pid = id >> 32;
	struct event *event;

	/* The first thread stands for its process; the ends of the others are left out. */
	if ((u32)id != pid || !skep_in_scope() || is_replaced(task))
		return 0;
	start = bpf_map_lookup_elem(&starts, &pid);
	if (start)
		duration = now - *start;
	bpf_map_delete_elem(&starts, &pid);
	if (min_duration_ns && duration < min_duration_ns)
		return 0;
	event = begin(EXIT, now);
	if (!event)
		return 0;
	event->exit_code = BPF_CORE_READ(task, exit_code);
	event->duration_ns = duration;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// Shows programs that start and end, and how long they lived.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
