/* As many records as `count` says for each getppid(2) of one process, into a small ring: to count what is lost. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

const volatile pid_t pid_filter = 0;
const volatile u32 count = 1;

struct event {
	u32 pid;
	u32 number;
	u64 filler[6];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;

	if (pid != pid_filter)
		return 0;
	for (u32 number = 0; number < count && number < 1000; number++) {
		struct event *event = skep_reserve(&events, struct event);

		if (!event)
			continue;
		event->pid = pid;
		event->number = number;
		bpf_ringbuf_submit(event, 0);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
