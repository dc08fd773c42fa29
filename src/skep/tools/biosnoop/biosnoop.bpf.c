// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* biosnoop: each request to a disk, from whom, and how long the disk took for it. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

/* Eight bytes on older kernels; of longer flags what does not fit is left out. */
#define FLAGS 8

/// Only this disk (0: all).
const volatile dev_t disk_target = 0;
/// Only requests that failed.
const volatile bool failed_only = false;
/// Only requests that took at least so long. Takes 10ms and the like.
const volatile u64 min_ns = 0;

struct event {
	u64 time;
	u32 pid;
	char comm[16];
	/// @format device
	u32 disk;
	/* R is a read, W a write, S one that somebody waits for, F a flush. */
	char flags[FLAGS];
	u64 sector;
	u64 bytes;
	u64 latency_ns;
	s32 ret;
};

/* Who completes a request is not who issued it: an interrupt, mostly. A disk has one request at a time for a sector. */
struct request_key {
	u64 sector;
	u64 disk;
};

struct request_start {
	/* 0 until it is issued. */
	u64 since;
	u64 bytes;
	u32 pid;
	u32 wanted;
	char comm[16];
};

/* Of those that were merged into others after they were queued, nothing more is heard: the oldest make room. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, struct request_key);
	__type(value, struct request_start);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

static int note(struct trace_event_raw_block_rq *ctx, u64 since)
{
	struct request_key request = {.disk = ctx->dev, .sector = ctx->sector};
	struct request_start start = {.since = since, .bytes = ctx->bytes};

	if (disk_target && ctx->dev != disk_target)
		return 0;
	/* Those of others are noted, too: who of ours issues one later is not whose it is. */
	start.wanted = skep_in_scope();
	start.pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(start.comm, sizeof(start.comm));
	if (bpf_map_update_elem(&requests, &request, &start, BPF_ANY))
		skep_lost();
	return 0;
}

/* Where the disk has a queue, a thread of the kernel may issue what was queued: then this is whose request it is. */
SEC("tp/block/block_rq_insert")
int insert(struct trace_event_raw_block_rq *ctx)
{
	return note(ctx, 0);
}

SEC("tp/block/block_rq_issue")
int issue(struct trace_event_raw_block_rq *ctx)
{
	struct request_key request = {.disk = ctx->dev, .sector = ctx->sector};
	struct request_start *start = bpf_map_lookup_elem(&requests, &request);
	u64 now = bpf_ktime_get_ns();

	if (!start || start->since)
		return note(ctx, now);
	start->since = now;
	start->bytes = ctx->bytes;
	return 0;
}

static void send(struct trace_event_raw_block_rq_completion *ctx, const struct request_start *start)
{
	u64 now = bpf_ktime_get_ns(), latency_ns = now - start->since;
	struct event *event;

	if (latency_ns < min_ns || (failed_only && !ctx->error))
		return;
	event = skep_reserve(&events, struct event);
	if (!event)
		return;
	event->time = now;
	event->pid = start->pid;
	__builtin_memcpy(event->comm, start->comm, sizeof(event->comm));
	event->disk = ctx->dev;
	bpf_probe_read_kernel(event->flags, FLAGS - 1, ctx->rwbs);
	event->flags[FLAGS - 1] = 0;
	event->sector = ctx->sector;
	event->bytes = start->bytes;
	event->latency_ns = latency_ns;
	event->ret = ctx->error;
	bpf_ringbuf_submit(event, 0);
}

SEC("tp/block/block_rq_complete")
int complete(struct trace_event_raw_block_rq_completion *ctx)
{
	struct request_key request = {.disk = ctx->dev, .sector = ctx->sector};
	struct request_start *start = bpf_map_lookup_elem(&requests, &request);

	if (!start || !start->since)
		return 0;
	if (start->wanted)
		send(ctx, start);
	bpf_map_delete_elem(&requests, &request);
	return 0;
}

/// Shows each request to a disk: from whom, how large, and how long the disk took for it.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
