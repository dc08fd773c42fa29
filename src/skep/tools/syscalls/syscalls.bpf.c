// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* syscalls: every system call with its arguments, its result and the time it took; or how many of each there were. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

#define MOST_NAMES 8

/// Only this process (0: all).
const volatile pid_t pid_target = 0;
/// Only tasks of this name.
const volatile char comm_target[16] = "";
/// Only these system calls, up to 8: openat,close. Those of 32-bit programs have other numbers, and are left out.
/// @format syscall
const volatile s32 names[MOST_NAMES] = { -1, -1, -1, -1, -1, -1, -1, -1 };
/// Only calls that failed.
const volatile bool failed_only = false;
/// Only tasks in the cgroup of slot 0 of cgroups, and in those below it.
const volatile bool filter_cgroup = false;
/// Not each call: how many of each there were.
const volatile bool counts_only = false;

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} cgroups SEC(".maps");

struct event {
	u64 time;
	u32 pid;
	u32 tid;
	char comm[16];
	u32 syscall;
	u32 compat; /* a 32-bit program called */
	s64 ret;
	u64 duration_ns;
	u64 args[6];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
} events SEC(".maps");

struct kind {
	u32 syscall;
	u32 compat;
};

struct count {
	u64 calls;
	u64 failed;
	u64 total_ns;
};

/// @sample {"type": "default_kv", "clear_map": true}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct kind);
	__type(value, struct count);
} counts SEC(".maps");

static struct count none;

/* What a task is doing. The key is the task itself: a thread that executes a program takes over the id of its process. */
struct call {
	u64 time;
	struct kind kind;
	u64 args[6];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u64);
	__type(value, struct call);
} calls SEC(".maps");

static bool is_watched(u32 pid)
{
	char comm[16];

	if (!skep_in_scope() || (pid_target && pid != pid_target))
		return false;
	if (filter_cgroup && bpf_current_task_under_cgroup(&cgroups, 0) != 1)
		return false;
	if (comm_target[0]) {
		bpf_get_current_comm(comm, sizeof(comm));
		for (u32 i = 0; i < sizeof(comm); i++) {
			if (comm[i] != comm_target[i])
				return false;
			if (!comm[i])
				break;
		}
	}
	return true;
}

static bool is_named(struct kind kind)
{
	if (names[0] == -1)
		return true;
	for (u32 i = 0; i < MOST_NAMES; i++)
		if (names[i] == kind.syscall && !kind.compat)
			return true;
	return false;
}

SEC("raw_tp/sys_enter")
int BPF_PROG(entered, struct pt_regs *registers, long number)
{
	u64 task = bpf_get_current_task();
	struct call call;

	/* First of all: most calls of the machine are of others. */
	if (!is_watched(bpf_get_current_pid_tgid() >> 32))
		return 0;
	call.kind = (struct kind){ .syscall = number, .compat = skep_is_compat() };
	if (!is_named(call.kind))
		return 0;
	skep_syscall_args(registers, call.args);
	call.time = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&calls, &task, &call, BPF_ANY))
		skep_lost();
	return 0;
}

static void count(struct call *call, s64 ret, u64 duration)
{
	struct count *count = skep_entry(&counts, &call->kind, &none);

	if (!count)
		return;
	__sync_fetch_and_add(&count->calls, 1);
	if (ret < 0)
		__sync_fetch_and_add(&count->failed, 1);
	__sync_fetch_and_add(&count->total_ns, duration);
}

static void send(struct call *call, s64 ret, u64 duration)
{
	struct event *event = skep_reserve(&events, struct event);
	u64 id = bpf_get_current_pid_tgid();

	if (!event)
		return;
	event->time = call->time;
	event->pid = id >> 32;
	event->tid = id;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->syscall = call->kind.syscall;
	event->compat = call->kind.compat;
	event->ret = ret;
	event->duration_ns = duration;
	__builtin_memcpy(event->args, call->args, sizeof(event->args));
	bpf_ringbuf_submit(event, 0);
}

static int left(s64 ret)
{
	u64 task = bpf_get_current_task(), duration;
	struct call *call = bpf_map_lookup_elem(&calls, &task);

	if (!call)
		return 0;
	duration = bpf_ktime_get_ns() - call->time;
	if (ret < 0 || !failed_only) {
		if (counts_only)
			count(call, ret, duration);
		else
			send(call, ret, duration);
	}
	bpf_map_delete_elem(&calls, &task);
	return 0;
}

SEC("raw_tp/sys_exit")
int BPF_PROG(returned, struct pt_regs *registers, long ret)
{
	return left(ret);
}

/* A thread that ends does so in a call that does not return: exit(2), or one that a signal broke off. */
SEC("raw_tp/sched_process_exit")
int BPF_PROG(ended, struct task_struct *task)
{
	return left(0);
}

/// Shows every system call with its arguments, its result and the time it took; or how many of each there were.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
