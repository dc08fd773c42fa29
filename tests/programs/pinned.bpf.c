// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* Counts system calls of one process in maps, one of which the source itself wants pinned. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct amount {
	__u64 calls;
	char last[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct amount);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} totals SEC(".maps");

const volatile __u32 pid_filter = 0;

SEC("raw_tp/sys_enter")
int count(void *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32, first = 0;
	struct amount *known, new = { 1, "count" };
	__u64 *total;

	if (pid != pid_filter)
		return 0;
	known = bpf_map_lookup_elem(&counts, &pid);
	if (known)
		known->calls++;
	else
		bpf_map_update_elem(&counts, &pid, &new, BPF_ANY);
	total = bpf_map_lookup_elem(&totals, &first);
	if (total)
		__sync_fetch_and_add(total, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
