// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* Which files are opened, and by whom. A tracepoint is a place in the kernel that is made to be watched: they are listed
 * in /sys/kernel/tracing/events, and change little from release to release. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

/// Only this process (0: all).
const volatile pid_t pid_target = 0; /* becomes the option --pid-target */

/* One record. Its members are the columns; their names and types say how they are shown. */
struct event {
	u64 time; /* of bpf_ktime_get_ns(): shown as a time of day */
	u32 pid;
	char comm[16];
	char filename[256];
};

/* Records go to user space through this ring. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* Runs at every openat(2). For another system call, write its name here: sys_enter_connect. */
SEC("tp/syscalls/sys_enter_openat")
int opened(struct skep_sys_enter *ctx)
{
	/* The upper half is what user space calls a process, the lower half a thread. */
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct event *event;

	/* In scope is what `-- COMMAND` or `-p PID` asks for; without them, everything. */
	if (!skep_in_scope() || (pid_target && pid != pid_target))
		return 0;
	event = skep_reserve(&events, struct event);
	if (!event)
		return 0; /* The ring is full. skep counts it as lost. */
	event->time = bpf_ktime_get_ns();
	event->pid = pid;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	/* openat(int dfd, const char *filename, ...): what lies in the memory of the process has to be read from there. It
	 * stays empty where that page has not been used yet; at the return (sys_exit_openat) it has. */
	if (bpf_probe_read_user_str(event->filename, sizeof(event->filename), (void *)ctx->args[1]) < 0)
		event->filename[0] = 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// Shows which files are opened, and by whom.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
