// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* javagc: every collection of garbage in a Java virtual machine, and how long it took. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>
#include "skep.h"

/// Only this virtual machine (0: all).
const volatile pid_t pid_target = 0;
/// Only collections that took at least this long.
const volatile u64 min_us = 0;

struct event {
	u64 time; /* when it ended */
	u32 pid;
	char comm[16]; /* of the thread that collects */
	bool full;     /* the whole heap, not only what is young */
	u64 duration_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* A collection begins and ends in one thread. Of those that end in a collection, the oldest make room. */
struct collection {
	u64 time;
	bool full;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, struct collection);
} collections SEC(".maps");

/* Asked at the end, too: what a thread of ours has left behind is not for whoever gets its id next. */
static bool is_wanted(u32 pid)
{
	return skep_in_scope() && (!pid_target || pid == pid_target);
}

SEC("usdt/libjvm:hotspot:gc__begin")
int BPF_USDT(begun, bool full)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, pid = id >> 32;
	struct collection collection = { .time = bpf_ktime_get_ns(), .full = full };

	if (!is_wanted(pid))
		return 0;
	if (bpf_map_update_elem(&collections, &tid, &collection, BPF_ANY))
		skep_lost();
	return 0;
}

SEC("usdt/libjvm:hotspot:gc__end")
int BPF_USDT(ended)
{
	u64 id = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();
	u32 tid = id, pid = id >> 32;
	struct collection *collection = bpf_map_lookup_elem(&collections, &tid);
	struct event *event;

	if (!collection || !is_wanted(pid))
		return 0;
	if (now - collection->time < min_us * 1000)
		goto done;
	event = skep_reserve(&events, struct event);
	if (!event)
		goto done;
	event->time = now;
	event->pid = pid;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->full = collection->full;
	event->duration_ns = now - collection->time;
	bpf_ringbuf_submit(event, 0);
done:
	bpf_map_delete_elem(&collections, &tid);
	return 0;
}

/// Shows every collection of garbage in a Java virtual machine, and how long it took.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
