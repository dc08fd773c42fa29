// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* pktsnoop: every IP packet that comes in or leaves on an interface, or how many of each flow do. */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "skep.h"

/* include/uapi/linux/if_ether.h, if_packet.h and include/linux/socket.h: macros, which BTF does not have. */
#define ETH_P_IP 0x0800
#define ETH_P_8021Q 0x8100
#define ETH_P_IPV6 0x86DD
#define PACKET_OUTGOING 4
#define AF_INET 2
#define AF_INET6 10
#define ETH_HLEN 14
#define VLAN_ID 0xFFF

enum protocol { ANY = 0, ICMP = 1, TCP = 6, UDP = 17, ICMPV6 = 58, SCTP = 132 };
enum direction { IN, OUT };

/// Only packets of this protocol.
const volatile enum protocol protocol_target = ANY;
/// Only packets from or to this port (0: all).
const volatile u16 port_target = 0;

/// Counts the packets of each flow, and shows those numbers every second instead.
const volatile bool count_flows = false;

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

/* What the packets of a flow have in common: their members from direction to daddr. */
struct flow {
	enum direction direction;
	enum protocol protocol;
	u16 vlan;
	u16 family;
	u16 sport;
	u16 dport;
	u8 saddr[16];
	u8 daddr[16];
};

struct counts {
	u64 packets;
	u64 bytes;
};

/* Anybody can make up addresses. When the map is full, flows that have been silent longest make room. */
/// @sample {"interval": 1000, "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, struct flow);
	__type(value, struct counts);
} flows SEC(".maps");

static struct counts none;

/*
 * The protocol of the packet, and where its header begins: *place bytes behind *base. The kernel takes the tag of a VLAN off what comes in, and
 * off what leaves too, where the interface puts it on again; otherwise it stands behind the Ethernet header.
 */
static __be16 find_ip(struct __sk_buff *ctx, struct packet *packet, u32 *place, u32 *base)
{
	__be16 tag[2], protocol = ctx->protocol; /* of the tag, its id and the protocol behind it */

	packet->vlan = ctx->vlan_present ? ctx->vlan_tci & VLAN_ID : 0;
	*place = 0;
	*base = BPF_HDR_START_NET;
	if (protocol != bpf_htons(ETH_P_8021Q) ||
	    bpf_skb_load_bytes_relative(ctx, ETH_HLEN, tag, sizeof(tag), BPF_HDR_START_MAC))
		return protocol;
	packet->vlan = bpf_ntohs(tag[0]) & VLAN_ID;
	*place = ETH_HLEN + sizeof(tag);
	*base = BPF_HDR_START_MAC;
	return tag[1];
}

/* Fills in what headers say; whether it is IP at all. */
static bool read_headers(struct __sk_buff *ctx, struct packet *packet)
{
	u32 place, base;
	__be16 ports[2] = {}, protocol = find_ip(ctx, packet, &place, &base);

	if (protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes_relative(ctx, place, &ip, sizeof(ip), base))
			return false;
		packet->family = AF_INET;
		packet->protocol = ip.protocol;
		__builtin_memcpy(packet->saddr, &ip.saddr, sizeof(ip.saddr));
		__builtin_memcpy(packet->daddr, &ip.daddr, sizeof(ip.daddr));
		place += ip.ihl * 4;
		/* Of a packet in fragments, only the first has ports. */
		if (ip.frag_off & bpf_htons(0x1FFF))
			return true;
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes_relative(ctx, place, &ip, sizeof(ip), base))
			return false;
		packet->family = AF_INET6;
		packet->protocol = ip.nexthdr;
		__builtin_memcpy(packet->saddr, &ip.saddr, sizeof(ip.saddr));
		__builtin_memcpy(packet->daddr, &ip.daddr, sizeof(ip.daddr));
		place += sizeof(ip);
	} else {
		return false;
	}
	if (packet->protocol == TCP || packet->protocol == UDP || packet->protocol == SCTP)
		bpf_skb_load_bytes_relative(ctx, place, ports, sizeof(ports), base);
	packet->sport = bpf_ntohs(ports[0]);
	packet->dport = bpf_ntohs(ports[1]);
	return true;
}

static void count(const struct packet *packet)
{
	struct counts *counts;
	struct flow flow;

	__builtin_memcpy(&flow, &packet->direction, sizeof(flow));
	counts = skep_entry(&flows, &flow, &none);
	if (counts) {
		__sync_fetch_and_add(&counts->packets, 1);
		__sync_fetch_and_add(&counts->bytes, packet->length);
	}
}

SEC("socket")
int copied(struct __sk_buff *ctx)
{
	struct packet packet = { .time = bpf_ktime_get_ns(), .length = ctx->len }, *sent;

	/* Nothing goes to the socket, which nobody reads: hence 0, always. */
	if (!read_headers(ctx, &packet) || (protocol_target && packet.protocol != protocol_target) ||
	    (port_target && packet.sport != port_target && packet.dport != port_target))
		return 0;
	packet.direction = ctx->pkt_type == PACKET_OUTGOING ? OUT : IN;
	if (count_flows) {
		count(&packet);
		return 0;
	}
	sent = skep_reserve(&packets, struct packet);
	if (!sent)
		return 0;
	*sent = packet;
	bpf_ringbuf_submit(sent, 0);
	return 0;
}

/// Shows every IP packet that comes in or leaves on an interface, or counts those of each flow.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
