// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* Which files are removed, and by whom: a function of the kernel, watched. Nearly every one can be: they are listed in
 * /proc/kallsyms. But they are the kernel's own affair, and may have another name in its next release. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
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
	char filename[256];
};

/* Records go to user space through this ring. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

static int removed(struct filename *name)
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
	/* name->name, wherever this kernel keeps that member. */
	bpf_probe_read_kernel_str(event->filename, sizeof(event->filename), BPF_CORE_READ(name, name));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/*
 * The same function twice: fentry is called directly and knows the types, a kprobe works on kernels without it. skep
 * attaches the first that this kernel takes. For what a function returns there are fexit and kretprobe.
 */
SEC("fentry/do_unlinkat")
int BPF_PROG(entered, int dfd, struct filename *name)
{
	return removed(name);
}

SEC("kprobe/do_unlinkat")
int BPF_KPROBE(probed, int dfd, struct filename *name)
{
	return removed(name);
}

/// Shows which files are removed, and by whom.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
