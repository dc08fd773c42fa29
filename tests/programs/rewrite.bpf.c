// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* Programs that change what they are given, to be run by themselves. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Puts four bytes in front of a packet, and lets it pass. */
SEC("xdp")
int longer(struct xdp_md *ctx)
{
	if (bpf_xdp_adjust_head(ctx, -4))
		return XDP_ABORTED;
	__u8 *data = (void *)(long)ctx->data;
	if (data + 4 > (__u8 *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(data, "skep", 4);
	return XDP_PASS;
}

/* Grows a packet beyond what anybody has made room for. */
SEC("tc")
int much_longer(struct __sk_buff *ctx)
{
	return bpf_skb_change_tail(ctx, 1500, 0) ? 1 : -1;
}

/* Marks a packet by its mark. */
SEC("tc")
int marked(struct __sk_buff *ctx)
{
	ctx->mark += 1;
	return 0;
}

SEC("raw_tp/sys_enter")
int difference(struct bpf_raw_tracepoint_args *ctx)
{
	return ctx->args[0] - ctx->args[1];
}

struct question { __u32 number, doubled; };

SEC("syscall")
int answer(struct question *ctx)
{
	ctx->doubled = 2 * ctx->number;
	return -1;
}

SEC("tp/syscalls/sys_enter_getppid")
int never(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
