/* What the programs of test_network.py share: each sends one record for a UDP packet to port 4321, and lets it pass. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

struct packet {
	u32 interface;
	u32 length;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} packets SEC(".maps");

/* An IPv4 header without options, and the ports behind it. */
static __always_inline bool is_ours(const u8 *header)
{
	return header[0] == 0x45 && header[9] == IPPROTO_UDP && header[22] == 4321 >> 8 && header[23] == (4321 & 0xff);
}

static __always_inline void send(u32 interface, u32 length)
{
	struct packet *packet = skep_reserve(&packets, struct packet);

	if (!packet)
		return;
	packet->interface = interface;
	packet->length = length;
	bpf_ringbuf_submit(packet, 0);
}

static __always_inline void look(struct __sk_buff *ctx)
{
	u8 header[24];

	if (!bpf_skb_load_bytes(ctx, sizeof(struct ethhdr), header, sizeof(header)) && is_ours(header))
		send(ctx->ifindex, ctx->len);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
