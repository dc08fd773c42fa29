// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* behaviour: every system call with what says what it was for; recordings of it are what `skep guard` learns from. */
#include "vmlinux.h"
#include <asm/unistd.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define DEEPEST 16

/// Only this process (0: all).
const volatile pid_t pid_target = 0;

/* The same as BEHAVIOUR in src/skep/guard/behaviour.py; a test compares the two. */
struct behaviour {
	u64 ts;
	u32 pid;
	u32 tid;
	s64 ret;
	u32 syscall;
	u32 ppid;
	u32 lost; /* events of this thread that are missing before this one */
	u16 depth;
	u16 compat; /* 1: a call of a 32-bit program, whose numbers are others */
	char comm[16];
	char arguments[32];
	char path[256];
	char peer[64];
	char child[256];
};

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

/* Set in thread_info.status while an x86-64 kernel serves a call of a 32-bit program (arch/x86/include/asm/thread_info.h). */
#define TS_COMPAT 2

struct thread_info___x86 {
	u32 status;
} __attribute__((preserve_access_index));

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

/* What the arguments ask for, as far as it is one of a few things: flags, a family, a request. Never an address or a length. */
static void classify(struct behaviour *event, const u64 args[6])
{
	u64 class;

	switch (event->syscall) {
#ifdef __NR_open
	case __NR_open:
#endif
	case __NR_ioctl:
	case __NR_fcntl:
	case __NR_kill:
	case __NR_epoll_ctl:
	case __NR_setns:
		class = args[1];
		break;
	case __NR_openat:
	case __NR_mmap:
	case __NR_mprotect:
	case __NR_fchmodat:
	case __NR_tgkill:
		class = args[2];
		break;
	case __NR_clone:
	case __NR_unshare:
	case __NR_prctl:
	case __NR_ptrace:
	case __NR_bpf:
		class = args[0];
		break;
	case __NR_futex:
		class = args[1] & 127; /* FUTEX_CMD_MASK, without FUTEX_CLOCK_REALTIME */
		break;
	case __NR_socket:
	case __NR_socketpair:
		BPF_SNPRINTF(event->arguments, sizeof(event->arguments), "%llu %llu", args[0], args[1] & 15);
		return;
	case __NR_setsockopt:
	case __NR_getsockopt:
		BPF_SNPRINTF(event->arguments, sizeof(event->arguments), "%llu %llu", args[1], args[2]);
		return;
	default:
		return;
	}
	/* All are of 32 bits; what stands above is not read by the kernel either. */
	BPF_SNPRINTF(event->arguments, sizeof(event->arguments), "0x%x", (u32)class);
}

/* The path that a call was given; NULL if it takes none. Of two the first. */
static const char *path_of(u32 syscall, const u64 args[6])
{
	switch (syscall) {
#ifdef __NR_open
	case __NR_open:
	case __NR_stat:
	case __NR_lstat:
	case __NR_access:
	case __NR_mkdir:
	case __NR_rmdir:
	case __NR_creat:
	case __NR_unlink:
	case __NR_link:
	case __NR_symlink:
	case __NR_rename:
	case __NR_readlink:
	case __NR_chmod:
	case __NR_chown:
	case __NR_lchown:
	case __NR_mknod:
#endif
	case __NR_chdir:
	case __NR_chroot:
	case __NR_truncate:
	case __NR_statfs:
	case __NR_mount:
	case __NR_umount2:
	case __NR_pivot_root:
	case __NR_symlinkat:
	case __NR_setxattr:
	case __NR_getxattr:
	case __NR_execve:
		return (const char *)args[0];
	case __NR_openat:
	case __NR_openat2:
	case __NR_newfstatat:
	case __NR_statx:
	case __NR_faccessat:
	case __NR_faccessat2:
	case __NR_mkdirat:
	case __NR_mknodat:
	case __NR_unlinkat:
	case __NR_linkat:
	case __NR_renameat:
	case __NR_renameat2:
	case __NR_readlinkat:
	case __NR_fchmodat:
	case __NR_fchownat:
	case __NR_utimensat:
	case __NR_inotify_add_watch:
	case __NR_execveat:
		return (const char *)args[1];
	}
	return NULL;
}

/* Whom a call is addressed to. Who called here is not told: of strangers the ports are random. */
static void read_peer(struct behaviour *event, const u64 args[6])
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} address = {};
	void *given;

	if (event->syscall == __NR_connect)
		given = (void *)args[1];
	else if (event->syscall == __NR_sendto && args[4])
		given = (void *)args[4];
	else
		return;
	/* Addresses of other families may be shorter than these. */
	if (bpf_probe_read_user(&address.any.sa_family, sizeof(address.any.sa_family), given))
		return;
	if (address.any.sa_family == AF_INET && !bpf_probe_read_user(&address.four, sizeof(address.four), given))
		BPF_SNPRINTF(event->peer, sizeof(event->peer), "%pI4:%d", &address.four.sin_addr,
			     __builtin_bswap16(address.four.sin_port));
	else if (address.any.sa_family == AF_INET6 && !bpf_probe_read_user(&address.six, sizeof(address.six), given))
		BPF_SNPRINTF(event->peer, sizeof(event->peer), "[%pI6]:%d", &address.six.sin6_addr,
			     __builtin_bswap16(address.six.sin6_port));
	else if (address.any.sa_family == AF_UNIX)
		bpf_probe_read_user_str(event->peer, sizeof(event->peer), (char *)given + 2);
}

/* Sends the call that a thread is in; `child` is the file that it executes by it, else NULL. */
static int send(struct task_struct *task, struct thread *thread, s64 ret, const char *child)
{
	struct behaviour *event = skep_reserve(&events, struct behaviour);
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
		classify(event, thread->args);
		read_peer(event, thread->args);
		path = path_of(event->syscall, thread->args);
	}
	/* Of a program that was executed, the memory that held its path is gone. */
	if (child)
		bpf_probe_read_kernel_str(event->child, sizeof(event->child), child);
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

	return thread ? send(task, thread, 0, program->filename) : 0;
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
