// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* callcount: how often a function of the kernel is called each second; programs that are executed, unless told otherwise. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

/* An array has all its entries from the start: to count, nothing has to be put into it. */
/// @sample {"interval": 1000, "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct {
		u64 calls;
	});
} counts SEC(".maps");

SEC("kprobe/bprm_execve")
int count(void *ctx)
{
	u32 zero = 0;
	u64 *calls = bpf_map_lookup_elem(&counts, &zero);

	/* All CPUs count in the same place. */
	if (calls && skep_in_scope())
		__sync_fetch_and_add(calls, 1);
	return 0;
}

/// Counts how often a function of the kernel is called each second.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
