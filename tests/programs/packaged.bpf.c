/* As written for eunomia-bpf: options without a filter by skep, and a package around the object says the rest. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct event {
	u32 pid;
	u32 call;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} rb SEC(".maps");

const volatile u32 most = 0;

static int send(u32 call)
{
	struct event *event;

	if (call > most)
		return 0;
	event = bpf_ringbuf_reserve(&rb, sizeof(*event), 0);
	if (!event)
		return 0;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->call = call;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp/syscalls/sys_enter_unlinkat")
int first(void *ctx)
{
	return send(1);
}

SEC("tp/syscalls/sys_exit_unlinkat")
int second(void *ctx)
{
	return send(2);
}

char LICENSE[] SEC("license") = "GPL";
