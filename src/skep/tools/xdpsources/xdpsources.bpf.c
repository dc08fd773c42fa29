// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* xdpsources: who sends the packets that come in on an interface, and how many each second. */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "skep.h"

/* include/uapi/linux/if_ether.h and include/linux/socket.h: macros, which BTF does not have. */
#define ETH_P_8021Q 0x8100
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define AF_INET 2
#define AF_INET6 10

struct source {
	u16 family;
	u8 saddr[16];
};

struct counts {
	u64 packets;
	u64 bytes; /* from the Ethernet header on */
};

/* Anybody can make up addresses. When the map is full, those that have been silent longest make room. */
/// @sample {"interval": 1000, "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, struct source);
	__type(value, struct counts);
} sources SEC(".maps");

static struct counts none;

SEC("xdp")
int count(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *next = data + sizeof(struct ethhdr);
	struct source source = {};
	struct counts *counts;
	__be16 protocol;

	/* Each `> end` is the proof that the verifier wants before it lets anybody read that far into a packet. */
	if (next > end)
		return XDP_PASS;
	protocol = ((struct ethhdr *)data)->h_proto;
	if (protocol == bpf_htons(ETH_P_8021Q)) {
		struct vlan_hdr *tag = next;

		next += sizeof(*tag);
		if (next > end)
			return XDP_PASS;
		protocol = tag->h_vlan_encapsulated_proto;
	}
	if (protocol == bpf_htons(ETH_P_IP) && next + sizeof(struct iphdr) <= end) {
		source.family = AF_INET;
		__builtin_memcpy(source.saddr, &((struct iphdr *)next)->saddr, 4);
	} else if (protocol == bpf_htons(ETH_P_IPV6) && next + sizeof(struct ipv6hdr) <= end) {
		source.family = AF_INET6;
		__builtin_memcpy(source.saddr, &((struct ipv6hdr *)next)->saddr, 16);
	} else {
		return XDP_PASS;
	}
	counts = skep_entry(&sources, &source, &none);
	if (counts) {
		__sync_fetch_and_add(&counts->packets, 1);
		__sync_fetch_and_add(&counts->bytes, end - data);
	}
	return XDP_PASS;
}

/// Counts the packets that come in on an interface each second, by the address that they come from.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
