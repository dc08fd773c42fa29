// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* biolatency: how long disks took for their requests, as a histogram. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

/* Ranges that double: the last begins at 2^26 us, a minute. */
#define RANGES 27
/* Eight bytes on older kernels; of longer flags what does not fit is left out. */
#define FLAGS 8

/// Only this disk (0: all).
const volatile dev_t disk_target = 0;
/// A histogram for each kind of request: R is a read, W a write, S one that somebody waits for, F a flush.
const volatile bool per_flag = false;

/* Who completes a request is not who issued it: an interrupt, mostly. A disk has one request at a time for a sector. */
struct request_key {
	u64 sector;
	u64 disk;
};

/* All are zeros where all requests are counted together. */
struct kind {
	char flags[FLAGS];
};

struct latencies {
	u32 slots[RANGES];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct request_key);
	__type(value, u64);
} issued SEC(".maps");

/// @sample {"type": "log2_hist", "unit": "us", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct kind);
	__type(value, struct latencies);
} latencies SEC(".maps");

static struct latencies none;

SEC("tp/block/block_rq_issue")
int issue(struct trace_event_raw_block_rq *ctx)
{
	struct request_key request = {.disk = ctx->dev, .sector = ctx->sector};
	u64 now = bpf_ktime_get_ns();

	if (disk_target && ctx->dev != disk_target)
		return 0;
	if (bpf_map_update_elem(&issued, &request, &now, BPF_ANY))
		skep_lost();
	return 0;
}

SEC("tp/block/block_rq_complete")
int complete(struct trace_event_raw_block_rq_completion *ctx)
{
	struct request_key request = {.disk = ctx->dev, .sector = ctx->sector};
	u64 *since = bpf_map_lookup_elem(&issued, &request), latency_us, slot;
	struct latencies *found;
	struct kind kind = {};

	if (!since)
		return 0;
	latency_us = (bpf_ktime_get_ns() - *since) / 1000;
	bpf_map_delete_elem(&issued, &request);
	if (per_flag)
		bpf_probe_read_kernel(kind.flags, FLAGS - 1, ctx->rwbs);
	found = skep_entry(&latencies, &kind, &none);
	if (!found)
		return 0;
	slot = skep_log2(latency_us);
	__sync_fetch_and_add(&found->slots[slot < RANGES ? slot : RANGES - 1], 1);
	return 0;
}

/// Shows how long disks took for their requests, as a histogram.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
