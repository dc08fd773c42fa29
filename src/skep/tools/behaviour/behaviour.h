/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What a system call was for: shared by the recorder (behaviour.bpf.c) and the guard's watch (src/skep/guard/live/watch.bpf.c),
 * so that what is learned and what is watched are told in the same words.
 */
#ifndef SKEP_BEHAVIOUR_H
#define SKEP_BEHAVIOUR_H

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

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

/* Set in thread_info.status while an x86-64 kernel serves a call of a 32-bit program (arch/x86/include/asm/thread_info.h). */
#define TS_COMPAT 2

struct thread_info___x86 {
	u32 status;
} __attribute__((preserve_access_index));

/*
 * What the arguments ask for, as far as it is one of a few things: flags, a family, a request. Never an address or a
 * length. All are of 32 bits; what stands above is not read by the kernel either.
 */
struct asked {
	u32 first;
	u32 second;
	u32 numbers; /* how many of the two it takes */
};

static struct asked asked_of(u32 syscall, const u64 args[6])
{
	switch (syscall) {
#ifdef __NR_open
	case __NR_open:
#endif
	case __NR_ioctl:
	case __NR_fcntl:
	case __NR_kill:
	case __NR_epoll_ctl:
	case __NR_setns:
		return (struct asked){ args[1], 0, 1 };
	case __NR_openat:
	case __NR_mmap:
	case __NR_mprotect:
	case __NR_fchmodat:
	case __NR_tgkill:
		return (struct asked){ args[2], 0, 1 };
	case __NR_clone:
	case __NR_unshare:
	case __NR_prctl:
	case __NR_ptrace:
	case __NR_bpf:
		return (struct asked){ args[0], 0, 1 };
	case __NR_futex:
		return (struct asked){ args[1] & 127, 0, 1 }; /* FUTEX_CMD_MASK, without FUTEX_CLOCK_REALTIME */
	case __NR_socket:
	case __NR_socketpair:
		return (struct asked){ args[0], args[1] & 15, 2 };
	case __NR_setsockopt:
	case __NR_getsockopt:
		return (struct asked){ args[1], args[2], 2 };
	}
	return (struct asked){};
}

static void write_asked(struct behaviour *event, struct asked asked)
{
	if (asked.numbers == 1)
		BPF_SNPRINTF(event->arguments, sizeof(event->arguments), "0x%x", asked.first);
	else if (asked.numbers)
		BPF_SNPRINTF(event->arguments, sizeof(event->arguments), "%u %u", asked.first, asked.second);
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

/*
 * The address that a call was given; NULL if it takes or has none. Of several messages (sendmmsg) that of the first.
 * Fails where the memory that tells it cannot be read now.
 */
static long address_of(u32 syscall, const u64 args[6], const void **address)
{
	*address = NULL;
	switch (syscall) {
	case __NR_connect:
	case __NR_bind:
		*address = (const void *)args[1];
		return 0;
	case __NR_sendto:
		*address = (const void *)args[4];
		return 0;
	case __NR_sendmsg:
	case __NR_sendmmsg:
		/* The name is what a message begins with (include/linux/socket.h, struct user_msghdr). */
		return bpf_probe_read_user(address, sizeof(*address), (const void *)args[1]);
	}
	return 0;
}

/*
 * Whom a call is addressed to, or where it waits to be called, if it has an address. Who called here is not told: of
 * strangers the ports are random. Fails where the memory that tells it cannot be read now.
 */
static long read_peer(struct behaviour *event, const void *given)
{
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} address = {};
	long failed;

	if (!given)
		return 0;
	/* Addresses of other families may be shorter than these. */
	failed = bpf_probe_read_user(&address.any.sa_family, sizeof(address.any.sa_family), given);
	if (failed)
		return failed;
	switch (address.any.sa_family) {
	case AF_INET:
		failed = bpf_probe_read_user(&address.four, sizeof(address.four), given);
		if (!failed)
			BPF_SNPRINTF(event->peer, sizeof(event->peer), "%pI4:%d", &address.four.sin_addr,
				     __builtin_bswap16(address.four.sin_port));
		return failed;
	case AF_INET6:
		failed = bpf_probe_read_user(&address.six, sizeof(address.six), given);
		if (!failed)
			BPF_SNPRINTF(event->peer, sizeof(event->peer), "[%pI6]:%d", &address.six.sin6_addr,
				     __builtin_bswap16(address.six.sin6_port));
		return failed;
	case AF_UNIX:
		failed = bpf_probe_read_user_str(event->peer, sizeof(event->peer), (const char *)given + 2);
		return failed < 0 ? failed : 0;
	}
	return 0;
}

/* The file that a task executes from now on: as it was asked for; of one without a name in any folder, its own name. */
static void read_executable(struct behaviour *event, struct linux_binprm *program)
{
	struct file *file = BPF_CORE_READ(program, file);
	const unsigned char *name = BPF_CORE_READ(file, f_path.dentry, d_name.name);

	if (BPF_CORE_READ(file, f_inode, i_nlink)) {
		bpf_probe_read_kernel_str(event->child, sizeof(event->child), BPF_CORE_READ(program, filename));
		return;
	}
	__builtin_memcpy(event->child, "deleted:", 8);
	bpf_probe_read_kernel_str(event->child + 8, sizeof(event->child) - 8, name);
}

#endif
