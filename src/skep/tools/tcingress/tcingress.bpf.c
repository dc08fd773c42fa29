// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* tcingress: the length and the time to live of every IPv4 packet that comes in on an interface, or leaves. */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "skep.h"

/* include/uapi/linux/if_ether.h and pkt_cls.h: macros, which BTF does not have. */
#define ETH_P_IP 0x0800
#define TC_ACT_UNSPEC (-1)

struct packet {
	u64 time;
	__be32 saddr;
	__be32 daddr;
	u16 total_length; /* in bytes, from the IP header on */
	u8 ttl;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} packets SEC(".maps");

SEC("tc")
int filtered(struct __sk_buff *ctx)
{
	struct packet *packet;
	struct iphdr ip;

	/* Unspecified: the next filter decides, and where there is none the packet passes. */
	if (ctx->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes_relative(ctx, 0, &ip, sizeof(ip), BPF_HDR_START_NET))
		return TC_ACT_UNSPEC;
	packet = skep_reserve(&packets, struct packet);
	if (!packet)
		return TC_ACT_UNSPEC;
	packet->time = bpf_ktime_get_ns();
	packet->saddr = ip.saddr;
	packet->daddr = ip.daddr;
	packet->total_length = bpf_ntohs(ip.tot_len);
	packet->ttl = ip.ttl;
	bpf_ringbuf_submit(packet, 0);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
