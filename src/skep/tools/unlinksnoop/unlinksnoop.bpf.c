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

/* From the entry to the return, when the kernel has freed the name already. Too large for the stack of a program. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct event);
} started SEC(".maps");

static const struct event empty;

static int enter(struct filename *name)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, pid = id >> 32;
	struct event *event;

	if (!skep_in_scope() || (pid_target && pid != pid_target))
		return 0;
	if (bpf_map_update_elem(&started, &tid, &empty, BPF_ANY))
		skep_lost();
	event = bpf_map_lookup_elem(&started, &tid);
	if (!event)
		return 0;
	event->pid = pid;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_probe_read_kernel_str(event->filename, sizeof(event->filename), BPF_CORE_READ(name, name));
	return 0;
}

static int leave(int ret)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct event *event = bpf_map_lookup_elem(&started, &tid);

	if (!event)
		return 0;
	event->time = bpf_ktime_get_ns();
	event->ret = ret;
	if (bpf_ringbuf_output(&events, event, sizeof(*event), 0))
		skep_lost();
	bpf_map_delete_elem(&started, &tid);
	return 0;
}

/*
 * fentry and fexit are called directly, kprobes by way of a trap. Where this kernel takes the first pair, skep leaves the
 * second out: with both, every file would be counted twice.
 */
SEC("fentry/do_unlinkat")
int BPF_PROG(entered, int dfd, struct filename *name)
{
	return enter(name);
}

SEC("fexit/do_unlinkat")
int BPF_PROG(returned, int dfd, struct filename *name, int ret)
{
	return leave(ret);
}

SEC("kprobe/do_unlinkat")
int BPF_KPROBE(probe_entered, int dfd, struct filename *name)
{
	return enter(name);
}

SEC("kretprobe/do_unlinkat")
int BPF_KRETPROBE(probe_returned, int ret)
{
	return leave(ret);
}

/// Shows every file that is removed: by whom, and what came of it.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
