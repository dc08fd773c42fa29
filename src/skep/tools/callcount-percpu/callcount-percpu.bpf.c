// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* callcount-percpu: how often a function of the kernel is called each second, counted on each CPU by itself. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

/* Each CPU has an entry of its own: none waits for another, and what is shown is their sum. */
/// @sample {"interval": 1000, "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
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

	/* Not atomic: nobody else writes to this CPU's entry. */
	if (calls && skep_in_scope())
		(*calls)++;
	return 0;
}

/// Counts how often a function of the kernel is called each second, on each CPU by itself.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
