// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* behaviour: every system call with what says what it was for; recordings of it are what `skep guard` learns from. */
#include "vmlinux.h"
#include <asm/unistd.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"
#include "behaviour.h"

#define DEEPEST 16

/// Only this process (0: all).
const volatile pid_t pid_target = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} events SEC(".maps");

/* What a thread is doing. */
struct thread {
	u64 ts; /* when its call began; 0 between calls */
	u64 args[6];
	u32 syscall;
	u32 depth;
	u32 lost; /* its events since the last one that was sent */
	bool compat;
	bool known; /* its depth is */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

/* How many processes of the tree are above this one. */
static u32 depth_of(struct task_struct *task)
{
	u32 depth, parent;

	for (depth = 0; skep_scoped && depth < DEEPEST; depth++) {
		task = BPF_CORE_READ(task, real_parent);
		parent = BPF_CORE_READ(task, tgid);
		if (!bpf_map_lookup_elem(&skep_tree, &parent))
			break;
	}
	return depth;
}

/* Sends the call that a thread is in; `program` is what it executes by it, else NULL. */
static int send(struct task_struct *task, struct thread *thread, s64 ret, struct linux_binprm *program)
{
	struct behaviour *event = skep_reserve(&events, struct behaviour);
	const void *address;
	const char *path = NULL;

	if (!event) {
		thread->lost++;
		goto done;
	}
	event->ts = thread->ts;
	event->pid = task->tgid;
	event->tid = task->pid;
	event->ret = ret;
	event->syscall = thread->syscall;
	event->depth = thread->depth;
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->lost = thread->lost;
	thread->lost = 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->compat = thread->compat;
	event->arguments[0] = event->path[0] = event->peer[0] = event->child[0] = 0;
	if (!thread->compat) {
		write_asked(event, asked_of(event->syscall, thread->args));
		if (!address_of(event->syscall, thread->args, &address))
			read_peer(event, address);
		path = path_of(event->syscall, thread->args);
	}
	/* Of a program that was executed, the memory that held its path is gone. */
	if (program)
		read_executable(event, program);
	else if (path && bpf_probe_read_user_str(event->path, sizeof(event->path), path) < 0)
		event->path[0] = 0;
	bpf_ringbuf_submit(event, 0);
done:
	thread->ts = 0;
	return 0;
}

static struct thread *calling(struct task_struct *task)
{
	struct thread *thread = bpf_task_storage_get(&threads, task, NULL, 0);

	return thread && thread->ts ? thread : NULL;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(called, struct pt_regs *registers, long number)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread_info___x86 *info;
	struct thread *thread;

	if (!skep_in_scope() || (pid_target && task->tgid != pid_target))
		return 0;
	thread = bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread) {
		skep_lost();
		return 0;
	}
	if (!thread->known) {
		thread->depth = depth_of(task);
		thread->known = true;
	}
	info = (void *)&task->thread_info;
	thread->compat = bpf_core_field_exists(info->status) && (BPF_CORE_READ(info, status) & TS_COMPAT);
	thread->syscall = number;
	thread->args[0] = PT_REGS_PARM1_CORE_SYSCALL(registers);
	thread->args[1] = PT_REGS_PARM2_CORE_SYSCALL(registers);
	thread->args[2] = PT_REGS_PARM3_CORE_SYSCALL(registers);
	thread->args[3] = PT_REGS_PARM4_CORE_SYSCALL(registers);
	thread->args[4] = PT_REGS_PARM5_CORE_SYSCALL(registers);
	thread->ts = bpf_ktime_get_ns();
	return 0;
}

/* At the exit and not at the entry: paths have been read by the kernel, so that their pages are in memory. */
SEC("tp_btf/sys_exit")
int BPF_PROG(returned, struct pt_regs *registers, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread = calling(task);

	return thread ? send(task, thread, ret, NULL) : 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(executed, struct task_struct *task, pid_t old, struct linux_binprm *program)
{
	struct thread *thread = calling(task);

	return thread ? send(task, thread, 0, program) : 0;
}

/* A thread that ends does so in a call that does not return: exit(2), or one that a signal broke off. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(ended, struct task_struct *task)
{
	struct thread *thread = calling(task);

	return thread ? send(task, thread, 0, NULL) : 0;
}

/// Shows every system call: by whom, on what, and what came of it. `skep guard` learns from it.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
