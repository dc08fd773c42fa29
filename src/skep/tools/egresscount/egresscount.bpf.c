// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* egresscount: how many packets and bytes the tasks of a cgroup send each second. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

#define ALLOWED 1

struct packet {
	u32 family;
};

struct counts {
	u64 packets;
	u64 bytes; /* from the IP header on */
};

/* By the family of addresses: AF_INET and AF_INET6 are all that get here. */
/// @sample {"interval": 1000, "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, struct packet);
	__type(value, struct counts);
} packets SEC(".maps");

static struct counts none;

SEC("cgroup_skb/egress")
int count(struct __sk_buff *ctx)
{
	struct packet packet = { ctx->family };
	struct counts *counts = skep_entry(&packets, &packet, &none);

	/* Several tasks may send at once, and an interrupt may send while one does: hence atomic. */
	if (counts) {
		__sync_fetch_and_add(&counts->packets, 1);
		__sync_fetch_and_add(&counts->bytes, ctx->len);
	}
	/* 0 would drop the packet. */
	return ALLOWED;
}

/// Counts the packets and bytes that the tasks of a cgroup send each second.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
