/* Mistakes with what helpers take. The line below each `fails:` is the one that the verifier has to refuse. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u64);
	__type(value, u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
} events SEC(".maps");

SEC("?tp/syscalls/sys_enter_getppid")
int value_for_pointer(struct trace_event_raw_sys_enter *ctx)
{
	u64 key = ctx->args[0];
	/* fails: argument-type */
	u64 *count = bpf_map_lookup_elem(&counts, (void *)key);

	return count ? *count : 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int size_not_bounded(struct trace_event_raw_sys_enter *ctx)
{
	char text[64];
	u64 size = ctx->args[1];

	/* fails: size-argument */
	bpf_probe_read_user(text, size, (void *)ctx->args[0]);
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int size_may_be_negative(struct trace_event_raw_sys_enter *ctx)
{
	char text[64];
	int size = ctx->args[1];

	if (size > (int)sizeof(text))
		return 0;
	/* fails: size-argument */
	bpf_probe_read_user(text, size, (void *)ctx->args[0]);
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int not_the_context(struct trace_event_raw_sys_enter *ctx)
{
	u64 pid = 0;

	/* fails: argument-type */
	bpf_perf_event_output(&pid, &events, BPF_F_CURRENT_CPU, &pid, sizeof(pid));
	return 0;
}

SEC("?xdp")
int not_for_this_type(struct xdp_md *ctx)
{
	char text[4];

	/* fails: helper-not-available */
	bpf_skb_load_bytes(ctx, 0, text, sizeof(text));
	return XDP_PASS;
}

SEC("?tp_btf/sys_enter")
int may_sleep(u64 *ctx)
{
	char text[16];

	/* fails: sleepable */
	bpf_copy_from_user(text, sizeof(text), (void *)ctx[1]);
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int size_cut_on_one_side(struct trace_event_raw_sys_enter *ctx)
{
	char text[64];
	int size = ctx->args[1];

	if (size > 64)
		size = 64;
	/* fails: size-argument */
	bpf_probe_read_user(text, size, (void *)ctx->args[0]);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
