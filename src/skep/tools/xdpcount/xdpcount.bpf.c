// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* xdpcount: how many packets come in on an interface each second, counted before the network stack sees them. */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "skep.h"

/* What stands in the Ethernet header (include/uapi/linux/if_ether.h); 0 for all that has no name here. */
enum kind { OTHER = 0, IPV4 = 0x0800, ARP = 0x0806, VLAN = 0x8100, IPV6 = 0x86DD };

struct frame {
	enum kind kind;
};

struct counts {
	u64 packets;
	u64 bytes; /* from the Ethernet header on */
};

/* Each CPU counts for itself, and skep adds up: so no packet waits for another, and nothing has to be atomic. */
/// @sample {"interval": 1000, "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 5);
	__type(key, struct frame);
	__type(value, struct counts);
} packets SEC(".maps");

static struct counts none;

SEC("xdp")
int count(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *header = data;
	struct frame frame = { OTHER };
	struct counts *counts;

	/* The verifier wants this proof before it lets anybody read from a packet. */
	if (data + sizeof(*header) <= end) {
		enum kind kind = bpf_ntohs(header->h_proto);

		if (kind == IPV4 || kind == ARP || kind == VLAN || kind == IPV6)
			frame.kind = kind;
	}
	counts = skep_entry(&packets, &frame, &none);
	if (counts) {
		counts->packets++;
		counts->bytes += end - data;
	}
	return XDP_PASS;
}

/// Counts the packets that come in on an interface each second, before the network stack sees them.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
