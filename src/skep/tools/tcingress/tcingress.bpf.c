// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* tcingress: the length and the time to live of every IP packet that comes in on an interface, or leaves. */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "skep.h"

/* include/uapi/linux/if_ether.h, pkt_cls.h and include/linux/socket.h: macros, which BTF does not have. */
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define TC_ACT_UNSPEC (-1)
#define AF_INET 2
#define AF_INET6 10

struct packet {
	u64 time;
	u32 family;
	u8 saddr[16];
	u8 daddr[16];
	u32 total_length; /* in bytes, from the IP header on */
	u8 ttl;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} packets SEC(".maps");

/* Whether it is IP at all. */
static bool read_packet(struct __sk_buff *ctx, struct packet *packet)
{
	u32 protocol = ctx->protocol;
	struct ipv6hdr ip6;
	struct iphdr ip;

	if (protocol == bpf_htons(ETH_P_IP) &&
	    !bpf_skb_load_bytes_relative(ctx, 0, &ip, sizeof(ip), BPF_HDR_START_NET)) {
		packet->family = AF_INET;
		__builtin_memcpy(packet->saddr, &ip.saddr, sizeof(ip.saddr));
		__builtin_memcpy(packet->daddr, &ip.daddr, sizeof(ip.daddr));
		packet->total_length = bpf_ntohs(ip.tot_len);
		packet->ttl = ip.ttl;
		return true;
	}
	if (protocol == bpf_htons(ETH_P_IPV6) &&
	    !bpf_skb_load_bytes_relative(ctx, 0, &ip6, sizeof(ip6), BPF_HDR_START_NET)) {
		packet->family = AF_INET6;
		__builtin_memcpy(packet->saddr, &ip6.saddr, sizeof(ip6.saddr));
		__builtin_memcpy(packet->daddr, &ip6.daddr, sizeof(ip6.daddr));
		/* IPv6 counts without its own header, and calls the time to live what it is: a limit of hops. */
		packet->total_length = sizeof(ip6) + bpf_ntohs(ip6.payload_len);
		packet->ttl = ip6.hop_limit;
		return true;
	}
	return false;
}

/* As long as --direction says nothing else, packets that come in; and before the filters of others. */
/// @tchook {"attach_point": "BPF_TC_INGRESS"}
/// @tcopts {"priority": 1}
SEC("tc")
int filtered(struct __sk_buff *ctx)
{
	struct packet packet = { .time = bpf_ktime_get_ns() }, *sent;

	/* Unspecified: the next filter decides, and where there is none the packet passes. */
	if (!read_packet(ctx, &packet))
		return TC_ACT_UNSPEC;
	sent = skep_reserve(&packets, struct packet);
	if (!sent)
		return TC_ACT_UNSPEC;
	*sent = packet;
	bpf_ringbuf_submit(sent, 0);
	return TC_ACT_UNSPEC;
}

/// Shows the length and the time to live of every IP packet that comes in on an interface, or leaves.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
