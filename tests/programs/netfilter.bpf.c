/* In the network stack. */
#include "packet.h"

SEC("netfilter")
int passing(struct bpf_nf_ctx *ctx)
{
	u8 header[24];

	if (!bpf_probe_read_kernel(header, sizeof(header), ctx->skb->head + ctx->skb->network_header) && is_ours(header))
		send(ctx->state->in ? ctx->state->in->ifindex : 0, ctx->skb->len);
	return 1; /* NF_ACCEPT */
}
