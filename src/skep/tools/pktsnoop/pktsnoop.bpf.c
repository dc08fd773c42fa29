// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* pktsnoop: every IP packet that comes in or leaves on an interface: from whom, to whom, and how long. */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "skep.h"

/* include/uapi/linux/if_ether.h, if_packet.h and include/linux/socket.h: macros, which BTF does not have. */
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define PACKET_OUTGOING 4
#define AF_INET 2
#define AF_INET6 10
#define VLAN_ID 0xFFF

enum protocol { ANY = 0, ICMP = 1, TCP = 6, UDP = 17, ICMPV6 = 58, SCTP = 132 };
enum direction { IN, OUT };

/// Only packets of this protocol.
const volatile enum protocol protocol_target = ANY;
/// Only packets from or to this port (0: all).
const volatile u16 port_target = 0;

struct packet {
	u64 time;
	enum direction direction;
	enum protocol protocol;
	u16 vlan; /* 0: none */
	u16 family;
	u16 sport; /* 0, as the next: the protocol has none */
	u16 dport;
	u8 saddr[16];
	u8 daddr[16];
	u32 length; /* in bytes, from the Ethernet header on */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} packets SEC(".maps");

/* Fills in what the IP header says; where the next header begins, or -1 if it is none of IP. */
static int read_addresses(struct __sk_buff *ctx, struct packet *packet)
{
	if (ctx->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes_relative(ctx, 0, &ip, sizeof(ip), BPF_HDR_START_NET))
			return -1;
		packet->family = AF_INET;
		packet->protocol = ip.protocol;
		__builtin_memcpy(packet->saddr, &ip.saddr, sizeof(ip.saddr));
		__builtin_memcpy(packet->daddr, &ip.daddr, sizeof(ip.daddr));
		/* Of a packet in fragments, only the first has ports. */
		return ip.frag_off & bpf_htons(0x1FFF) ? 0 : ip.ihl * 4;
	}
	if (ctx->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes_relative(ctx, 0, &ip, sizeof(ip), BPF_HDR_START_NET))
			return -1;
		packet->family = AF_INET6;
		packet->protocol = ip.nexthdr;
		__builtin_memcpy(packet->saddr, &ip.saddr, sizeof(ip.saddr));
		__builtin_memcpy(packet->daddr, &ip.daddr, sizeof(ip.daddr));
		return sizeof(ip);
	}
	return -1;
}

SEC("socket")
int copied(struct __sk_buff *ctx)
{
	struct packet packet = { .time = bpf_ktime_get_ns(), .length = ctx->len }, *sent;
	__be16 ports[2] = {};
	int next = read_addresses(ctx, &packet);

	/* Nothing goes to the socket, which nobody reads: hence 0, always. */
	if (next < 0 || (protocol_target && packet.protocol != protocol_target))
		return 0;
	if (next && (packet.protocol == TCP || packet.protocol == UDP || packet.protocol == SCTP))
		bpf_skb_load_bytes_relative(ctx, next, ports, sizeof(ports), BPF_HDR_START_NET);
	packet.sport = bpf_ntohs(ports[0]);
	packet.dport = bpf_ntohs(ports[1]);
	if (port_target && packet.sport != port_target && packet.dport != port_target)
		return 0;
	packet.direction = ctx->pkt_type == PACKET_OUTGOING ? OUT : IN;
	packet.vlan = ctx->vlan_present ? ctx->vlan_tci & VLAN_ID : 0;
	sent = skep_reserve(&packets, struct packet);
	if (!sent)
		return 0;
	*sent = packet;
	bpf_ringbuf_submit(sent, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
