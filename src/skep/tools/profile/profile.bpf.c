// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* profile: where the CPUs spend their time: stacks of calls, sampled by the clock and counted. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

/// Only this process (0: all).
const volatile pid_t pid_target = 0;
/// Only the part of the stacks in user space.
const volatile bool user_only = false;
/// Only the part of the stacks in the kernel.
const volatile bool kernel_only = false;

struct where {
	u32 pid;
	char comm[16];
	s32 kernel_stack;
	s32 user_stack;
};

struct samples {
	u64 samples;
};

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16384);
	__type(key, u32);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct where);
	__type(value, struct samples);
} counts SEC(".maps");

static struct samples none;

SEC("perf_event/cpu-clock")
int sample(void *ctx)
{
	struct where where = {.kernel_stack = -14, .user_stack = -14}; /* EFAULT: there is none */
	struct samples *found;

	where.pid = bpf_get_current_pid_tgid() >> 32;
	/* Process 0 is what runs when nothing does. */
	if (!where.pid || (pid_target && where.pid != pid_target) || !skep_in_scope())
		return 0;
	bpf_get_current_comm(where.comm, sizeof(where.comm));
	if (!user_only)
		where.kernel_stack = bpf_get_stackid(ctx, &stacks, 0);
	if (!kernel_only)
		where.user_stack = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	found = skep_entry(&counts, &where, &none);
	if (!found)
		return 0;
	__sync_fetch_and_add(&found->samples, 1);
	return 0;
}

/// Shows where the CPUs spend their time: stacks of calls, sampled by the clock and counted.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
