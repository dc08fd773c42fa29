/* Includes skep.h, and sends through a ring without counting what finds it full. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

struct event {
	u32 pid;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	struct event event = { .pid = bpf_get_current_pid_tgid() >> 32 };

	if (skep_in_scope())
		bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
