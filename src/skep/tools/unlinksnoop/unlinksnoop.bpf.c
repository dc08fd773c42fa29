// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* unlinksnoop: every file that is removed, by whom, and what came of it. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

#define NAME_SIZE 256

/// Only this process (0: all).
const volatile pid_t pid_target = 0;

struct event {
	u64 time;
	u32 pid;
	char comm[16];
	s32 ret;
	char filename[NAME_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

static bool wanted(void)
{
	return skep_in_scope() && (!pid_target || pid_target == bpf_get_current_pid_tgid() >> 32);
}

/*
 * fexit sees the arguments and the result at once, and is called directly, without a trap. Where this kernel has it, skep
 * leaves the two kprobes below out; they are two because a kretprobe does not see the arguments.
 */
SEC("fexit/do_unlinkat")
int BPF_PROG(removed, int dfd, struct filename *name, int ret)
{
	struct event *event = wanted() ? skep_reserve(&events, struct event) : NULL;

	if (!event)
		return 0;
	event->time = bpf_ktime_get_ns();
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->ret = ret;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_probe_read_kernel_str(event->filename, sizeof(event->filename), BPF_CORE_READ(name, name));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* From the entry to the return: by then the kernel has freed the name. Too large for the stack of a program. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct event);
} started SEC(".maps");

static const struct event empty;

SEC("kprobe/do_unlinkat")
int BPF_KPROBE(entered, int dfd, struct filename *name)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct event *event;

	if (!wanted())
		return 0;
	if (bpf_map_update_elem(&started, &tid, &empty, BPF_ANY))
		skep_lost();
	event = bpf_map_lookup_elem(&started, &tid);
	if (event)
		bpf_probe_read_kernel_str(event->filename, sizeof(event->filename), BPF_CORE_READ(name, name));
	return 0;
}

SEC("kretprobe/do_unlinkat")
int BPF_KRETPROBE(returned, int ret)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct event *event = bpf_map_lookup_elem(&started, &tid);

	if (!event)
		return 0;
	event->time = bpf_ktime_get_ns();
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->ret = ret;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	if (bpf_ringbuf_output(&events, event, sizeof(*event), 0))
		skep_lost();
	bpf_map_delete_elem(&started, &tid);
	return 0;
}

/// Shows every file that is removed: by whom, and what came of it.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
