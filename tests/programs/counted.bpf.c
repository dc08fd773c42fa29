/* Two kinds of records from one map, which a tracepoint fills for the process that the test starts. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct count {
	u32 kind;
	u32 pid;
	u64 calls;
};

struct total {
	u32 kind;
	u32 processes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u64);
} calls SEC(".maps");

const volatile pid_t pid_filter = 0;

SEC("raw_tp/sys_enter")
int count(struct bpf_raw_tracepoint_args *ctx)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	u64 one = 1, *known;

	/* getppid(2) on x86-64 */
	if (ctx->args[1] != 110 || (pid_filter && pid != pid_filter))
		return 0;
	known = bpf_map_lookup_elem(&calls, &pid);
	if (known)
		__sync_fetch_and_add(known, 1);
	else
		bpf_map_update_elem(&calls, &pid, &one, BPF_ANY);
	return 0;
}

static u32 processes;

SEC("iter/bpf_map_elem")
int show(struct bpf_iter__bpf_map_elem *ctx)
{
	struct count each = { .kind = 1 };
	struct total total = { .kind = 2 };
	u32 *pid = ctx->key;
	u64 *number = ctx->value;

	if (!pid || !number) {
		total.processes = processes;
		bpf_seq_write(ctx->meta->seq, &total, sizeof(total));
		processes = 0;
		return 0;
	}
	each.pid = *pid;
	each.calls = *number;
	processes++;
	bpf_seq_write(ctx->meta->seq, &each, sizeof(each));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
