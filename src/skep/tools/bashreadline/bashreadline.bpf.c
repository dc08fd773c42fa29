// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* bashreadline: what is typed into bash, line by line. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

#define LINE_SIZE 256

/// Only this shell (0: all).
const volatile pid_t pid_target = 0;

struct event {
	u64 time;
	u32 pid;
	char comm[16];
	char line[LINE_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* readline() returns the line that was typed, or NULL at the end of the input. */
SEC("uretprobe//bin/bash:readline")
int BPF_KRETPROBE(typed, const char *line)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct event *event;

	if (!line || !skep_in_scope() || (pid_target && pid != pid_target))
		return 0;
	event = skep_reserve(&events, struct event);
	if (!event)
		return 0;
	event->time = bpf_ktime_get_ns();
	event->pid = pid;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	if (bpf_probe_read_user_str(event->line, sizeof(event->line), line) < 0)
		event->line[0] = 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/// Shows what is typed into bash, line by line.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
