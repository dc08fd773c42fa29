/* Three programs for one interface, of which each calls the next: the source says where the first is, the user the second. */
#include "packet.h"

int first(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(u32));
	__array(values, int(void *));
} steps SEC(".maps") = {
	.values = { [0] = (void *)&first },
};

SEC("xdp")
int driver(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &steps, 0);
	return XDP_PASS;
}

SEC("xdp")
int first(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &steps, 1);
	return XDP_PASS;
}

SEC("xdp")
int second(struct xdp_md *ctx)
{
	u8 header[24];

	if (!bpf_xdp_load_bytes(ctx, sizeof(struct ethhdr), header, sizeof(header)) && is_ours(header))
		send(ctx->ingress_ifindex, ctx->data_end - ctx->data);
	return XDP_PASS;
}
