/* Mistakes with maps. The line below each `fails:` is the one that the verifier has to refuse. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define SLOTS 16

struct stats {
	u64 packets;
	u64 last;
	u32 slots[SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, struct stats);
} counts SEC(".maps");

const volatile u32 limit = 5;

static struct stats *find(u32 key)
{
	return bpf_map_lookup_elem(&counts, &key);
}

SEC("?tp/syscalls/sys_enter_getppid")
int not_tested(struct trace_event_raw_sys_enter *ctx)
{
	u32 key = 0;
	struct stats *seen = bpf_map_lookup_elem(&counts, &key);

	/* fails: null-pointer */
	seen->packets += 1;
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int other_tested(struct trace_event_raw_sys_enter *ctx)
{
	struct stats *first = find(1), *second = find(2);

	if (!first)
		return 0;
	first->packets++;
	/* fails: null-pointer */
	second->packets++;
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int moved_before_test(struct trace_event_raw_sys_enter *ctx)
{
	u32 key = 0;
	u64 *last = &((struct stats *)bpf_map_lookup_elem(&counts, &key))->last;

	if (!last)
		return 0;
	/* fails: null-pointer */
	*last = 1;
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int index_not_bounded(struct trace_event_raw_sys_enter *ctx)
{
	struct stats *seen = find(0);
	u64 slot = ctx->args[0];

	if (!seen)
		return 0;
	/* fails: map-value-bounds */
	seen->slots[slot]++;
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int index_signed(struct trace_event_raw_sys_enter *ctx)
{
	struct stats *seen = find(0);
	long slot = ctx->args[0];

	if (!seen || slot >= SLOTS)
		return 0;
	/* fails: map-value-bounds */
	seen->slots[slot]++;
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int index_one_too_many(struct trace_event_raw_sys_enter *ctx)
{
	struct stats *seen = find(0);
	u64 slot = ctx->args[0];

	if (!seen || slot > SLOTS)
		return 0;
	/* fails: map-value-bounds */
	seen->slots[slot]++;
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int constant_too_far(struct trace_event_raw_sys_enter *ctx)
{
	struct stats *seen = find(0);

	if (!seen)
		return 0;
	/* fails: map-value-bounds */
	*(u64 *)(seen + 1) = 1;
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int wrong_kind_of_map(struct trace_event_raw_sys_enter *ctx)
{
	struct stats none = {};

	/* fails: map-mismatch */
	bpf_map_push_elem(&counts, &none, 0);
	return 0;
}

static __noinline struct stats *find_or_make(u32 key)
{
	struct stats none = {};

	bpf_map_update_elem(&counts, &key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&counts, &key);
}

SEC("?tp/syscalls/sys_enter_getppid")
int not_tested_after_own_function(struct trace_event_raw_sys_enter *ctx)
{
	struct stats *seen = find_or_make(ctx->args[0]);

	/* fails: null-pointer */
	seen->packets++;
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int constant_written(struct trace_event_raw_sys_enter *ctx)
{
	/* fails: read-only */
	*(volatile u32 *)&limit = 1;
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int output_to_no_ring(struct trace_event_raw_sys_enter *ctx)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;

	/* fails: map-mismatch */
	bpf_ringbuf_output(&counts, &pid, sizeof(pid), 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
