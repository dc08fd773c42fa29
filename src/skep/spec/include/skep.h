/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What a kernel file may share with skep. Including it is optional; it goes after vmlinux.h and <bpf/bpf_helpers.h>.
 *
 *   skep_in_scope()            is this task one of `-- COMMAND`, or of `-p PID`? Filters in the kernel, before any work.
 *   skep_task_in_scope(thread, process)
 *                              the same of another task.
 *   skep_reserve(&ring, T)     bpf_ringbuf_reserve() for one T, and a count of those that found the ring full.
 *   skep_lost()                counts one event that could not be sent, or one entry for which a map had no room.
 *   skep_log2(number)          the place of its highest bit: the slot of a histogram whose ranges double.
 *   skep_entry(&map, &key, &initial)
 *                              the value of a key in a hash map, which is made where there is none; NULL, and counted as
 *                              lost, where the map is full.
 *   skep_read_socket(record, socket)
 *                              the two ends of a struct sock, of either family. It needs <bpf/bpf_core_read.h> and
 *                              <bpf/bpf_endian.h>.
 *   skep_task_state(task)      0 while a task runs or waits for a CPU; <bpf/bpf_core_read.h> has to be included, too.
 *   skep_is_compat()           does this task call the kernel as a 32-bit program does? Its system calls have other
 *                              numbers: beside a field `compat` that is true, skep gives `syscall` their names.
 *   skep_syscall_args(registers, args)
 *                              the six arguments of the system call that this task is in (needs <bpf/bpf_core_read.h>
 *                              and <bpf/bpf_tracing.h> before skep.h).
 *   struct skep_sys_enter, struct skep_sys_exit
 *                              the context of a system call's tracepoints, on any kernel, without relocation.
 */
#ifndef SKEP_H
#define SKEP_H

/* Set by skep: is there a tree to be in, and how many events were lost. Weak, so that several files can be linked. */
const volatile bool skep_scoped __attribute__((weak)) = false;
__u64 skep_lost_count __attribute__((weak)) = 0;

/* Thread and process ids of the tree. skep puts its tracker's own map here (src/skep/kernel/scope.bpf.c). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u32);
} skep_tree SEC(".maps") __attribute__((weak));

static __always_inline bool skep_task_in_scope(__u32 thread, __u32 process)
{
	if (!skep_scoped)
		return true;
	return bpf_map_lookup_elem(&skep_tree, &thread) || bpf_map_lookup_elem(&skep_tree, &process);
}

static __always_inline bool skep_in_scope(void)
{
	__u64 id = bpf_get_current_pid_tgid();

	return skep_task_in_scope(id, id >> 32);
}

static __always_inline void skep_lost(void)
{
	__sync_fetch_and_add(&skep_lost_count, 1);
}

/*
 * Of 0 it is 0. Each step has two ways for the verifier to follow; a loop over all bits would have 200,000 instructions.
 * 64 bits wide: of a narrower one the compiler would compare a copy with its limit.
 */
static __always_inline __u64 skep_log2(__u64 number)
{
	__u64 bits = 0, part;

	part = (number > 0xffffffff) << 5, number >>= part, bits |= part;
	part = (number > 0xffff) << 4, number >>= part, bits |= part;
	part = (number > 0xff) << 3, number >>= part, bits |= part;
	part = (number > 0xf) << 2, number >>= part, bits |= part;
	part = (number > 0x3) << 1, number >>= part, bits |= part;
	bits |= number >> 1;
	/* Where the compiler knew its limit, it would leave out a comparison that the verifier asks for. */
	barrier_var(bits);
	return bits;
}

/*
 * What syscalls/sys_enter_* and sys_exit_* hand over (kernel/trace/trace_syscalls.c, perf_syscall_enter): a common head and
 * the number of the call, and from byte 16 on its arguments or its result, whatever the size of the head. vmlinux.h has
 * the same as struct trace_event_raw_sys_enter, but relocatable: then the kernel's BTF is read at load, which takes 10 ms.
 */
struct skep_sys_enter {
	__u64 head[2];
	__u64 args[6];
};

struct skep_sys_exit {
	__u64 head[2];
	__s64 ret;
};

/*
 * What a task is about: 0 runs or waits for a CPU, else it sleeps. Before Linux 5.14 (commit 2f064a59a11f) the member was
 * called state.
 */
#define skep_task_state(task)                                                                            \
	({                                                                                               \
		struct task_struct___old {                                                               \
			long state;                                                                      \
		} __attribute__((preserve_access_index));                                                \
		bpf_core_field_exists((task)->__state) ? BPF_CORE_READ(task, __state) :                  \
							 BPF_CORE_READ((struct task_struct___old *)(task), state); \
	})

/* thread_info.status of x86 (TS_COMPAT of arch/x86/include/asm/thread_info.h), thread_info.flags of arm64 (TIF_32BIT). */
struct thread_info___skep {
	__u32 status;
	unsigned long flags;
} __attribute__((preserve_access_index));

struct task_struct___skep {
	struct thread_info___skep thread_info;
} __attribute__((preserve_access_index));

static __always_inline bool skep_is_compat(void)
{
	struct task_struct___skep *task = (void *)bpf_get_current_task();
#if defined(__TARGET_ARCH_x86)
	__u32 status = 0;

	bpf_probe_read_kernel(&status, sizeof(status), &task->thread_info.status);
	return status & 2;
#elif defined(__TARGET_ARCH_arm64)
	unsigned long flags = 0;

	bpf_probe_read_kernel(&flags, sizeof(flags), &task->thread_info.flags);
	return flags & (1 << 22);
#else
	return false;
#endif
}

#if defined(__BPF_TRACING_H__) && defined(__BPF_CORE_READ_H__)
static __always_inline void skep_syscall_args(struct pt_regs *registers, __u64 args[6])
{
#if defined(__TARGET_ARCH_x86)
	if (skep_is_compat()) {
		args[0] = BPF_CORE_READ(registers, bx);
		args[1] = BPF_CORE_READ(registers, cx);
		args[2] = BPF_CORE_READ(registers, dx);
		args[3] = BPF_CORE_READ(registers, si);
		args[4] = BPF_CORE_READ(registers, di);
		args[5] = BPF_CORE_READ(registers, bp);
		return;
	}
	args[5] = BPF_CORE_READ(registers, r9);
#elif defined(__TARGET_ARCH_arm64)
	args[5] = BPF_CORE_READ((struct user_pt_regs *)registers, regs[5]);
#endif
	args[0] = PT_REGS_PARM1_CORE_SYSCALL(registers);
	args[1] = PT_REGS_PARM2_CORE_SYSCALL(registers);
	args[2] = PT_REGS_PARM3_CORE_SYSCALL(registers);
	args[3] = PT_REGS_PARM4_CORE_SYSCALL(registers);
	args[4] = PT_REGS_PARM5_CORE_SYSCALL(registers);
}
#endif

#define skep_reserve(ring, type)                                          \
	({                                                                \
		type *skep_record = bpf_ringbuf_reserve(ring, sizeof(type), 0); \
		if (!skep_record)                                         \
			skep_lost();                                      \
		skep_record;                                              \
	})

/* Two CPUs may make the entry at once: the first one's stays, and both count in it. */
#define skep_entry(map, key, initial)                                             \
	({                                                                        \
		typeof(initial) skep_value = bpf_map_lookup_elem(map, key);       \
		if (!skep_value) {                                                \
			bpf_map_update_elem(map, key, initial, BPF_NOEXIST);      \
			skep_value = bpf_map_lookup_elem(map, key);               \
			if (!skep_value)                                          \
				skep_lost();                                      \
		}                                                                 \
		skep_value;                                                       \
	})

/*
 * Fills the members family, sport, dport, saddr[16] and daddr[16] of *record: what is ours is the source, and an IPv4
 * address takes the first four bytes. 2 is AF_INET (include/linux/socket.h).
 */
#define skep_read_socket(record, socket)                                                                    \
	do {                                                                                                \
		(record)->family = BPF_CORE_READ(socket, __sk_common.skc_family);                           \
		(record)->sport = BPF_CORE_READ(socket, __sk_common.skc_num);                               \
		(record)->dport = bpf_ntohs(BPF_CORE_READ(socket, __sk_common.skc_dport));                  \
		__builtin_memset((record)->saddr, 0, 16);                                                   \
		__builtin_memset((record)->daddr, 0, 16);                                                   \
		if ((record)->family == 2) {                                                                \
			*(__be32 *)(record)->saddr = BPF_CORE_READ(socket, __sk_common.skc_rcv_saddr);      \
			*(__be32 *)(record)->daddr = BPF_CORE_READ(socket, __sk_common.skc_daddr);          \
		} else {                                                                                    \
			*(struct in6_addr *)(record)->saddr = BPF_CORE_READ(socket, __sk_common.skc_v6_rcv_saddr); \
			*(struct in6_addr *)(record)->daddr = BPF_CORE_READ(socket, __sk_common.skc_v6_daddr);     \
		}                                                                                           \
	} while (0)

#endif
