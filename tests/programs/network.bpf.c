/* One program on each hook of an interface. */
#include "packet.h"

SEC("xdp")
int driver(struct xdp_md *ctx)
{
	u8 header[24];

	if (!bpf_xdp_load_bytes(ctx, sizeof(struct ethhdr), header, sizeof(header)) && is_ours(header))
		send(ctx->ingress_ifindex, ctx->data_end - ctx->data);
	return XDP_PASS;
}

SEC("tc")
int filter(struct __sk_buff *ctx)
{
	look(ctx);
	return 0; /* TC_ACT_OK */
}

SEC("action")
int acting(struct __sk_buff *ctx)
{
	look(ctx);
	return 0;
}

/// @tchook {"ifindex": 1, "attach_point": "BPF_TC_EGRESS"}
/// @tcopts {"handle": 7, "priority": 3}
SEC("classifier")
int noted(struct __sk_buff *ctx)
{
	look(ctx);
	return 0;
}

SEC("tc/ingress")
int coming(struct __sk_buff *ctx)
{
	look(ctx);
	return -1; /* TCX_NEXT, TC_ACT_UNSPEC */
}

SEC("tcx/egress")
int leaving(struct __sk_buff *ctx)
{
	look(ctx);
	return -1;
}

SEC("socket")
int copied(struct __sk_buff *ctx)
{
	look(ctx);
	return ctx->len;
}

SEC("tc/egress")
int going(struct __sk_buff *ctx)
{
	look(ctx);
	return 0;
}

SEC("xdp.frags")
int jumbo(struct xdp_md *ctx)
{
	u8 header[24];

	if (!bpf_xdp_load_bytes(ctx, sizeof(struct ethhdr), header, sizeof(header)) && is_ours(header))
		send(ctx->ingress_ifindex, bpf_xdp_get_buff_len(ctx));
	return XDP_PASS;
}
