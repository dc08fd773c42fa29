/* Mistakes with packets. The line below each `fails:` is the one that the verifier has to refuse. */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETH_P_IP 0x0800

SEC("?xdp")
int not_checked(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct ethhdr *eth = data;

	/* fails: packet-bounds */
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return XDP_DROP;
	return XDP_PASS;
}

SEC("?xdp")
int checked_too_little(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	/* fails: packet-bounds */
	if (ip->protocol == 6)
		return XDP_DROP;
	return XDP_PASS;
}

SEC("?xdp")
int variable_header(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct udphdr *udp;

	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	udp = (void *)ip + ip->ihl * 4;
	/* fails: packet-bounds */
	if (udp->dest == bpf_htons(53))
		return XDP_DROP;
	return XDP_PASS;
}

SEC("?xdp")
int offset_not_bounded(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	u32 *length = data;
	u8 *last;

	if ((void *)(length + 1) > end)
		return XDP_PASS;
	last = data + *length;
	if ((void *)(last + 1) > end)
		return XDP_PASS;
	/* fails: packet-bounds */
	return *last ? XDP_DROP : XDP_PASS;
}

SEC("?tc")
int stale(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	u8 first;

	if ((void *)(eth + 1) > end)
		return 0;
	first = eth->h_dest[0];
	if (bpf_skb_pull_data(skb, 64))
		return 0;
	/* fails: stale-packet-pointer */
	eth->h_dest[0] = first + 1;
	return 0;
}

SEC("?xdp")
int end_moved(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	asm volatile("%0 += -4" : "+r"(end)); /* fails: pointer-arithmetic */
	return data < end ? XDP_DROP : XDP_PASS;
}

SEC("?socket")
int direct_in_socket_filter(struct __sk_buff *skb)
{
	/* fails: context-access */
	void *data = (void *)(long)skb->data;

	return data != 0;
}

SEC("?xdp")
int stale_after_adjusting(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	if (bpf_xdp_adjust_head(ctx, sizeof(struct ethhdr)))
		return XDP_ABORTED;
	/* fails: stale-packet-pointer */
	return eth->h_proto == bpf_htons(ETH_P_IP) ? XDP_PASS : XDP_DROP;
}

SEC("?xdp")
int given_beyond(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + sizeof(struct ethhdr);

	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	/* fails: packet-bounds */
	return bpf_csum_diff(0, 0, (void *)ip, 60, 0) ? XDP_PASS : XDP_DROP;
}

SEC("?tc")
int payload_walked(struct __sk_buff *skb)
{
	u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	u32 sum = 0;

	for (u32 place = 0; place < skb->len; place++) {
		if (data + place >= end)
			break;
		/* fails: packet-bounds */
		sum += data[place];
	}
	return sum & 1;
}

char LICENSE[] SEC("license") = "GPL";
