// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* httpusdt: the path of every request that a server takes, from a probe that it was built with. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>
#include "skep.h"

#define PREFIX_SIZE 64

/// Only this server (0: all).
const volatile pid_t pid_target = 0;
/// Which of the probe's arguments is the path, the first being 0.
const volatile u32 argument = 0;
/// Only paths that begin like this.
const volatile char path_prefix[PREFIX_SIZE] = "";

struct event {
	u64 time;
	u32 pid;
	u32 tid;
	char comm[16];
	char path[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

static bool begins(const char *path)
{
	for (u32 i = 0; i < PREFIX_SIZE && path_prefix[i]; i++)
		if (path[i] != path_prefix[i])
			return false;
	return true;
}

/* --binary names the server and --function its probe, PROVIDER:NAME. While this is attached, the probe's semaphore counts
 * one more: a server may spare itself the work for what nobody looks at. */
SEC("usdt")
int BPF_USDT(requested)
{
	u64 id = bpf_get_current_pid_tgid();
	struct event *event;
	long path = 0;

	if (!skep_in_scope() || (pid_target && id >> 32 != pid_target))
		return 0;
	if (bpf_usdt_arg(ctx, argument, &path))
		return 0;
	event = skep_reserve(&events, struct event);
	if (!event)
		return 0;
	event->time = bpf_ktime_get_ns();
	event->pid = id >> 32;
	event->tid = id;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	if (bpf_probe_read_user_str(event->path, sizeof(event->path), (const char *)path) < 0)
		event->path[0] = 0;
	if (begins(event->path))
		bpf_ringbuf_submit(event, 0);
	else
		bpf_ringbuf_discard(event, 0);
	return 0;
}

/// Shows the path of every request that a server takes, from a probe that it was built with.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
