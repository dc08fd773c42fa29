/* A ring of which the source does not say what it carries, and one whose values say it. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct event {
	u32 pid;
	u32 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} raw SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
	__type(value, struct event);
} typed SEC(".maps");

const volatile pid_t pid_filter = 0;

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	char bytes[16] = {};

	if (pid != pid_filter)
		return 0;
	bytes[0] = 1;
	bytes[4] = 2;
	bpf_ringbuf_output(&raw, (char *)bytes + 0, pid & 1 ? 5 : 3, 0);
	bytes[0] = 0;
	bpf_ringbuf_output(&raw, (char *)bytes + 0, 8, 0);
	bpf_ringbuf_output(&typed, bytes, 8, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
