// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* vfsreadlat: how long reads of files took, pipes and sockets included, as a histogram. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

/* Ranges that double: the last begins at 2^26 us, a minute. */
#define RANGES 27

/// Only this process (0: all).
const volatile pid_t pid_target = 0;

struct latencies {
	u32 slots[RANGES];
};

/// @sample {"type": "log2_hist", "unit": "us", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct latencies);
} latencies SEC(".maps");

static struct latencies none;

/* When a thread began to read. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, u64);
} began SEC(".maps");

static int begin(void)
{
	u64 id = bpf_get_current_pid_tgid(), now;
	u32 tid = id;

	if (!skep_in_scope() || (pid_target && id >> 32 != pid_target))
		return 0;
	now = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&began, &tid, &now, BPF_ANY))
		skep_lost();
	return 0;
}

static int end(void)
{
	u32 tid = bpf_get_current_pid_tgid(), all = 0;
	u64 *since = bpf_map_lookup_elem(&began, &tid), latency_us, slot;
	struct latencies *found;

	if (!since)
		return 0;
	latency_us = (bpf_ktime_get_ns() - *since) / 1000;
	bpf_map_delete_elem(&began, &tid);
	/* Taken out after each interval, so that each begins at zero. */
	found = skep_entry(&latencies, &all, &none);
	if (!found)
		return 0;
	slot = skep_log2(latency_us);
	__sync_fetch_and_add(&found->slots[slot < RANGES ? slot : RANGES - 1], 1);
	return 0;
}

SEC("fentry/vfs_read")
int entered(void *ctx)
{
	return begin();
}

SEC("fexit/vfs_read")
int returned(void *ctx)
{
	return end();
}

/* The same for kernels without fentry: skep uses one kind or the other, never both. */
SEC("kprobe/vfs_read")
int probed(void *ctx)
{
	return begin();
}

SEC("kretprobe/vfs_read")
int probed_return(void *ctx)
{
	return end();
}

/// Shows how long reads of files took, pipes and sockets included, as a histogram.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
