/* What the programs of test_hooks.py share: each sends one record a call, for the process that the test starts. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include "skep.h"

struct event {
	u64 time;
	u32 pid;
	u32 tid;
	char comm[16];
	s64 ret;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

static __always_inline int seen(s64 ret)
{
	u64 id = bpf_get_current_pid_tgid();
	struct event *event;

	if (!skep_in_scope())
		return 0;
	event = skep_reserve(&events, struct event);
	if (!event)
		return 0;
	event->time = bpf_ktime_get_ns();
	event->pid = id >> 32;
	event->tid = id;
	event->ret = ret;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
