// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* Which programs are executed, and by whom: a tracepoint with the kernel's own structs for arguments, whose members are
 * read as in any C program. What each is given stands in vmlinux.h, as the type btf_trace_NAME. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

/// Only those that this process starts (0: any).
const volatile pid_t parent_target = 0; /* becomes the option --parent-target */

/* One record. Its members are the columns; their names and types say how they are shown. */
struct event {
	u64 time; /* of bpf_ktime_get_ns(): shown as a time of day */
	u32 pid;
	u32 ppid;
	char comm[16];
	char filename[256];
};

/* Records go to user space through this ring. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

SEC("tp_btf/sched_process_exec")
int BPF_PROG(executed, struct task_struct *task, pid_t old_pid, struct linux_binprm *program)
{
	u32 ppid = task->real_parent->tgid;
	struct event *event;

	/* In scope is what `-- COMMAND` or `-p PID` asks for; without them, everything. */
	if (!skep_in_scope() || (parent_target && ppid != parent_target))
		return 0;
	event = skep_reserve(&events, struct event);
	if (!event)
		return 0; /* The ring is full. skep counts it as lost. */
	event->time = bpf_ktime_get_ns();
	event->pid = task->tgid; /* What user space calls a process; task->pid is the thread. */
	event->ppid = ppid;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	/* A string's length is known to nobody, so that it is copied by a helper. */
	bpf_probe_read_kernel_str(event->filename, sizeof(event->filename), program->filename);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// Shows which programs are executed, and by whom.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
