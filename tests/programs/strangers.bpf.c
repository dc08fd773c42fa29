/* A file that knows nothing of skep: no skep.h, a process field in one ring, none in the other. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct named {
	u32 tgid;
	u32 what;
};

struct nameless {
	u64 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} with_process SEC(".maps"), without_process SEC(".maps");

SEC("tp/syscalls/sys_enter_unlinkat")
int hook(struct trace_event_raw_sys_enter *ctx)
{
	struct named *named = bpf_ringbuf_reserve(&with_process, sizeof(*named), 0);
	struct nameless *nameless = bpf_ringbuf_reserve(&without_process, sizeof(*nameless), 0);

	if (named) {
		named->tgid = bpf_get_current_pid_tgid() >> 32;
		named->what = ctx->args[2];
		bpf_ringbuf_submit(named, 0);
	}
	if (nameless) {
		nameless->address = ctx->args[1];
		bpf_ringbuf_submit(nameless, 0);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
