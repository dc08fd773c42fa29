// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* A map like one of pinned.bpf.c, in whose values the members lie elsewhere; and one whose members are only renamed. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct amount {
	char last[8];
	__u32 calls, errors;
};

struct renamed {
	__u64 number;
	char newest[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct amount);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct renamed);
} others SEC(".maps");

SEC("raw_tp/sys_enter")
int count(void *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&counts, &key) || bpf_map_lookup_elem(&others, &key);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
