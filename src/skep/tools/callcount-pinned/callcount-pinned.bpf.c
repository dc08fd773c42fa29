// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* callcount-pinned: how often a function of the kernel is called, in a map that outlives the run and goes on next time. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

/* Pinned by its name in /sys/fs/bpf, or where --pin-root says: whoever comes next with the same map finds this one. */
/// @sample {"type": "default_kv"}
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct {
		u64 calls;
	});
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} callcount SEC(".maps");

SEC("kprobe/bprm_execve")
int count(void *ctx)
{
	u32 zero = 0;
	u64 *calls = bpf_map_lookup_elem(&callcount, &zero);

	if (calls && skep_in_scope())
		__sync_fetch_and_add(calls, 1);
	return 0;
}

/// Counts how often a function of the kernel is called, from run to run.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
