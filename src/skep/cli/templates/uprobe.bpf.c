// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* Which host names are looked up, and by whom: a function of a library, watched in every process that uses it. Those of
 * programs can be watched too; `nm -D FILE` lists them. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

/// Only this process (0: all).
const volatile pid_t pid_target = 0; /* becomes the option --pid-target */

/* One record. Its members are the columns; their names and types say how they are shown. */
struct event {
	u64 time; /* of bpf_ktime_get_ns(): shown as a time of day */
	u32 pid;
	char comm[16];
	char host[128];
};

/* Records go to user space through this ring. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* uprobe/FILE:FUNCTION. A program is given by its path: uprobe//usr/bin/bash:readline. uretprobe runs at the return. */
SEC("uprobe/libc.so.6:getaddrinfo")
int BPF_KPROBE(looked_up, const char *host)
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
	/* What lies in the memory of the process has to be read from there. The host may be NULL. */
	if (bpf_probe_read_user_str(event->host, sizeof(event->host), host) < 0)
		event->host[0] = 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// Shows which host names are looked up, and by whom.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
