// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* A map of the same name as one of pinned.bpf.c, and nothing else of it the same. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} totals SEC(".maps");

SEC("syscall")
int run(void *ctx)
{
	__u64 key = 0;

	return bpf_map_lookup_elem(&totals, &key) != 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
