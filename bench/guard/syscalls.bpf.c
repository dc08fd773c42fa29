// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* Every system call of the traced tree, as `skep guard` reads it, and the parent of the process that made it. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <skep.h>

struct call {
	u64 ts;
	u32 pid;
	u32 tid;
	u32 parent;
	u32 syscall;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024 * 1024);
} calls SEC(".maps");

SEC("raw_tp/sys_enter")
int called(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task;
	struct call *call;
	u64 id = bpf_get_current_pid_tgid();

	if (!skep_in_scope())
		return 0;
	call = skep_reserve(&calls, struct call);
	if (!call)
		return 0;
	task = (struct task_struct *)bpf_get_current_task();
	call->ts = bpf_ktime_get_ns();
	call->pid = id >> 32;
	call->tid = id;
	call->parent = BPF_CORE_READ(task, real_parent, tgid);
	call->syscall = ctx->args[1];
	bpf_get_current_comm(call->comm, sizeof(call->comm));
	bpf_ringbuf_submit(call, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
