/* Mistakes with loops, locks, functions and return values. The line below each `fails:` is the one to be refused. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct guarded {
	struct bpf_spin_lock lock;
	u32 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct guarded);
} guarded SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} programs SEC(".maps");

volatile u32 total;

SEC("?xdp")
int never_ends(struct xdp_md *ctx)
{
	volatile u32 *sum = &total;

	while (1) /* fails: infinite-loop */
		*sum;
	return XDP_PASS;
}

SEC("?xdp")
int too_many_rounds(struct xdp_md *ctx)
{
	u32 sum = 0;

	/* fails: complexity */
	for (u32 round = 0; round < 10000000; round++)
		sum += bpf_get_prandom_u32();
	return sum & 1;
}

SEC("?xdp")
int lock_kept(struct xdp_md *ctx)
{
	u32 key = 0;
	struct guarded *value = bpf_map_lookup_elem(&guarded, &key);

	if (!value)
		return XDP_PASS;
	bpf_spin_lock(&value->lock);
	value->count++;
	return XDP_PASS;
} /* fails: spin-lock */

SEC("?xdp")
int call_under_lock(struct xdp_md *ctx)
{
	u32 key = 0;
	struct guarded *value = bpf_map_lookup_elem(&guarded, &key);

	if (!value)
		return XDP_PASS;
	bpf_spin_lock(&value->lock);
	/* fails: spin-lock */
	value->count = bpf_get_prandom_u32();
	bpf_spin_unlock(&value->lock);
	return XDP_PASS;
}

SEC("?cgroup_skb/egress")
int not_a_verdict(struct __sk_buff *skb)
{
	return 5 + (skb->len & 1); /* fails: return-value */
}

__weak int length_of(u64 *value)
{
	/* fails: null-pointer */
	return *value;
}

SEC("?xdp")
int global_argument(struct xdp_md *ctx)
{
	u32 key = 0;
	u64 value = key;

	return length_of(&value) & 1;
}

SEC("?xdp")
int context_moved(struct xdp_md *ctx)
{
	void *moved = ctx;

	asm volatile("%0 += 4" : "+r"(moved));
	/* fails: context-access */
	bpf_tail_call(moved, &programs, 0);
	return XDP_PASS;
}

SEC("?xdp")
int locked_twice(struct xdp_md *ctx)
{
	u32 key = 0;
	struct guarded *value = bpf_map_lookup_elem(&guarded, &key);

	if (!value)
		return XDP_PASS;
	bpf_spin_lock(&value->lock);
	/* fails: spin-lock */
	bpf_spin_lock(&value->lock);
	value->count++;
	bpf_spin_unlock(&value->lock);
	return XDP_PASS;
}

SEC("?tp/syscalls/sys_enter_getppid")
int lock_in_tracing(struct trace_event_raw_sys_enter *ctx)
{
	u32 key = 0;
	struct guarded *value = bpf_map_lookup_elem(&guarded, &key);

	if (!value)
		return 0;
	/* fails: helper-not-available */
	bpf_spin_lock(&value->lock);
	value->count++;
	bpf_spin_unlock(&value->lock);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
