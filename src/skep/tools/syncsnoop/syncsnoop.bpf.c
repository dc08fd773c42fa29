// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* syncsnoop: every call that makes data durable, how many there were, and how long after the one before it. */
#include "vmlinux.h"
#include <asm/unistd.h>
#include <bpf/bpf_helpers.h>
#include "skep.h"

/// Only this process (0: all).
const volatile pid_t pid_target = 0;

struct event {
	u64 time;
	u32 pid;
	u32 tid;
	char comm[16];
	u32 syscall;
	u32 count; /* of these calls, this one among them */
	u64 since_ns; /* since the one before; 0 for the first */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* What goes on from one call to the next. Syncs are rare, and so all CPUs share it. */
struct syncs {
	u64 last;
	u64 count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct syncs);
} syncs SEC(".maps");

static int synced(u32 syscall)
{
	u64 id = bpf_get_current_pid_tgid(), now, last, count;
	u32 pid = id >> 32, zero = 0;
	struct syncs *known = bpf_map_lookup_elem(&syncs, &zero);
	struct event *event;

	if (!known || !skep_in_scope() || (pid_target && pid != pid_target))
		return 0;
	/* Counted whether or not there is room to tell it. Of those that come at once, each has its own number. */
	count = __sync_fetch_and_add(&known->count, 1) + 1;
	now = bpf_ktime_get_ns();
	last = __sync_lock_test_and_set(&known->last, now);
	event = skep_reserve(&events, struct event);
	if (event) {
		event->time = now;
		event->pid = pid;
		event->tid = id;
		bpf_get_current_comm(event->comm, sizeof(event->comm));
		event->syscall = syscall;
		event->count = count;
		/* Another CPU may have been quicker after it looked at the clock. */
		event->since_ns = last && last < now ? now - last : 0;
		bpf_ringbuf_submit(event, 0);
	}
	return 0;
}

SEC("tp/syscalls/sys_enter_sync")
int enter_sync(void *ctx)
{
	return synced(__NR_sync);
}

SEC("tp/syscalls/sys_enter_fsync")
int enter_fsync(void *ctx)
{
	return synced(__NR_fsync);
}

SEC("tp/syscalls/sys_enter_fdatasync")
int enter_fdatasync(void *ctx)
{
	return synced(__NR_fdatasync);
}

SEC("tp/syscalls/sys_enter_syncfs")
int enter_syncfs(void *ctx)
{
	return synced(__NR_syncfs);
}

SEC("tp/syscalls/sys_enter_msync")
int enter_msync(void *ctx)
{
	return synced(__NR_msync);
}

SEC("tp/syscalls/sys_enter_sync_file_range")
int enter_sync_file_range(void *ctx)
{
	return synced(__NR_sync_file_range);
}

/// Shows every call that makes data durable, how many there were, and how long after the one before it.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
