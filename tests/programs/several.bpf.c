/* One ring, records of two types, told apart by their sizes. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct small {
	u32 pid;
	u32 number;
};

struct large {
	u32 pid;
	u32 number;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

const volatile pid_t pid_filter = 0;

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;

	if (pid != pid_filter)
		return 0;
	for (u32 number = 0; number < 6; number++) {
		if (number % 3) {
			struct small *small = bpf_ringbuf_reserve(&events, sizeof(*small), 0);

			if (!small)
				return 0;
			small->pid = pid;
			small->number = number;
			bpf_ringbuf_submit(small, 0);
		} else {
			struct large *large = bpf_ringbuf_reserve(&events, sizeof(*large), 0);

			if (!large)
				return 0;
			large->pid = pid;
			large->number = number;
			bpf_get_current_comm(large->comm, sizeof(large->comm));
			bpf_ringbuf_submit(large, 0);
		}
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
