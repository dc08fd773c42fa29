/* A perf buffer, and records of which only the filled part of the last array is sent. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct event {
	u32 pid;
	u32 length;
	char text[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
} events SEC(".maps");

const volatile pid_t pid_filter = 0;

SEC("tp/syscalls/sys_enter_unlinkat")
int hook(struct trace_event_raw_sys_enter *ctx)
{
	struct event event = { .pid = bpf_get_current_pid_tgid() >> 32 };
	long length = bpf_probe_read_user_str(event.text, sizeof(event.text), (void *)ctx->args[1]);

	if ((pid_filter && event.pid != pid_filter) || length < 0)
		return 0;
	event.length = length;
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event,
			      offsetof(struct event, text) + (length & (sizeof(event.text) - 1)));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
