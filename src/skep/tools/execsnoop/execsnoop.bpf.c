// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* execsnoop: every program that is executed, with all its arguments. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "skep.h"

#define ARGUMENTS_SIZE 4096

/// Only programs executed by this user (4294967295: all).
const volatile uid_t uid_target = -1;
/// Executions that failed, too: they show the file that was asked for.
const volatile bool failed_too = false;

struct event {
	u64 time;
	u32 pid;
	u32 ppid;
	u32 uid;
	s32 ret;
	char comm[16];
	char arguments[ARGUMENTS_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(value, struct event);
} events SEC(".maps");

/* An event is too large for the stack of a program. Programs on tracepoints are not preempted by their like. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct event);
} scratch SEC(".maps");

/*
 * The file that a thread wants to execute, from the entry of its execve to where it fails. The key is the task itself: a
 * thread that executes a program takes over the id of its process on the way.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u64);
	__type(value, const char *);
} requests SEC(".maps");

static bool is_wanted(void)
{
	return skep_in_scope() && (uid_target == (uid_t)-1 || (uid_t)bpf_get_current_uid_gid() == uid_target);
}

/*
 * After a successful execve the new program's memory holds its arguments in one piece, each ended by a NUL. Returns their
 * size.
 */
static u32 read_arguments(struct task_struct *task, char *arguments)
{
	unsigned long start = BPF_CORE_READ(task, mm, arg_start), size = BPF_CORE_READ(task, mm, arg_end) - start;

	if (size > ARGUMENTS_SIZE)
		size = ARGUMENTS_SIZE;
	return size && !bpf_probe_read_user(arguments, size, (const void *)start) ? size : 0;
}

/* Writes a blank over every NUL but the last, eight bytes at a time: one by one, the verifier would have to walk 4,096. */
static void join(char *arguments, u32 size)
{
	const u64 low = 0x7f7f7f7f7f7f7f7full;
	u64 *words = (u64 *)arguments;

	for (u32 i = 0; i < ARGUMENTS_SIZE / 8 && i * 8 < size; i++) {
		u64 zeros = ~(((words[i] & low) + low) | words[i] | low); /* 0x80 in each byte that is 0 */

		words[i] |= zeros >> 2; /* 0x20, a blank */
	}
	arguments[(size - 1) & (ARGUMENTS_SIZE - 1)] = 0;
}

/* Sends what was executed; `failed` is the file that was asked for, where nothing was. */
static void send(void *ctx, long ret, const char *failed)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u32 zero = 0, size = 0;
	struct event *event = bpf_map_lookup_elem(&scratch, &zero);
	long read;

	if (!event)
		return;
	event->time = bpf_ktime_get_ns();
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->uid = bpf_get_current_uid_gid();
	event->ret = ret;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	if (failed) {
		read = bpf_probe_read_user_str(event->arguments, ARGUMENTS_SIZE, failed);
		size = read > 0 ? read : 0;
	} else {
		size = read_arguments(task, event->arguments);
		if (size)
			join(event->arguments, size);
	}
	if (!size) {
		event->arguments[0] = 0;
		size = 1;
	}
	if (size > ARGUMENTS_SIZE)
		size = ARGUMENTS_SIZE;
	/* Only the part of the last array that is filled is sent. */
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, event, offsetof(struct event, arguments) + size);
}

/*
 * What succeeds is seen here and not at the exit of its execve: who executes a program of 32 bits returns from a system call
 * of 32 bits, and those have no tracepoints.
 */
SEC("tp/sched/sched_process_exec")
int executed(void *ctx)
{
	u64 task = bpf_get_current_task();

	if (failed_too)
		bpf_map_delete_elem(&requests, &task);
	if (is_wanted())
		send(ctx, 0, NULL);
	return 0;
}

static int enter(const char *filename)
{
	u64 task = bpf_get_current_task();

	if (failed_too && is_wanted() && bpf_map_update_elem(&requests, &task, &filename, BPF_ANY))
		skep_lost();
	return 0;
}

static int leave(void *ctx, long ret)
{
	u64 task = bpf_get_current_task();
	const char **filename = bpf_map_lookup_elem(&requests, &task);

	if (!filename)
		return 0;
	send(ctx, ret, *filename);
	bpf_map_delete_elem(&requests, &task);
	return 0;
}

SEC("tp/syscalls/sys_enter_execve")
int enter_execve(struct skep_sys_enter *ctx)
{
	return enter((const char *)ctx->args[0]);
}

SEC("tp/syscalls/sys_exit_execve")
int exit_execve(struct skep_sys_exit *ctx)
{
	return leave(ctx, ctx->ret);
}

SEC("tp/syscalls/sys_enter_execveat")
int enter_execveat(struct skep_sys_enter *ctx)
{
	return enter((const char *)ctx->args[1]);
}

SEC("tp/syscalls/sys_exit_execveat")
int exit_execveat(struct skep_sys_exit *ctx)
{
	return leave(ctx, ctx->ret);
}

/// Shows every program that is executed, by whom, and with which arguments.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
