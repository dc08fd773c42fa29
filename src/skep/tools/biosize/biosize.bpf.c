// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* biosize: how large the requests to disks are, as a histogram. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

/* Ranges that double. A request has less than 2^32 bytes, which are 2^22 KiB. */
#define RANGES 22
/* Eight bytes on older kernels; of longer flags what does not fit is left out. */
#define FLAGS 8

/// Only this disk (0: all).
const volatile dev_t disk_target = 0;
/// A histogram for each kind of request: R is a read, W a write, S one that somebody waits for, F a flush.
const volatile bool per_flag = false;

/* All are zeros where all requests are counted together. */
struct kind {
	char flags[FLAGS];
};

struct sizes {
	u32 slots[RANGES];
};

/// @sample {"type": "log2_hist", "unit": "KiB", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct kind);
	__type(value, struct sizes);
} sizes SEC(".maps");

static struct sizes none;

SEC("tp/block/block_rq_issue")
int issue(struct trace_event_raw_block_rq *ctx)
{
	u64 slot;
	struct kind kind = {};
	struct sizes *found;

	/* A flush moves no data. */
	if (!ctx->bytes || (disk_target && ctx->dev != disk_target))
		return 0;
	if (per_flag)
		bpf_probe_read_kernel(kind.flags, FLAGS - 1, ctx->rwbs);
	found = skep_entry(&sizes, &kind, &none);
	if (!found)
		return 0;
	slot = skep_log2(ctx->bytes / 1024);
	__sync_fetch_and_add(&found->slots[slot < RANGES ? slot : RANGES - 1], 1);
	return 0;
}

/// Shows how large the requests to disks are, as a histogram.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
