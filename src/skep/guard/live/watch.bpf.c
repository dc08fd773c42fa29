// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Watches programs whose behaviour is known (src/skep/guard/live/watcher.py): tells the sequences of calls that were never
 * learned, and what calls are for, each thing once. While all is as learned, nothing leaves the kernel.
 *
 * A thread's last seven calls are one key of 63 bits, as in src/skep/guard/behaviour.py. What is watched has a storage:
 * a task without one costs a single failed lookup.
 */
#include "vmlinux.h"
#include <asm/unistd.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"
#include "../../tools/behaviour/behaviour.h"

#define CODES 512
#define UNKNOWN (CODES - 1)
#define SEQUENCE 0x7fffffffffffffffULL
#define LENGTH 7
#define HINTS 65536
/* cgroups above a task's own that may be watched. */
#define LEVELS 8
#define TEXTS (sizeof(struct behaviour) - offsetof(struct behaviour, arguments))
/* Reports of each kind that a profile may send at once, and after how many nanoseconds it may send one more. */
#define BURST 512
#define PACE 5000000ULL

/* What becomes of a call, in the calls' table. */
enum {
	NOTHING, /* no more is told of it than its place in a sequence */
	PASSED, /* it has none: it comes as the machine is busy (src/skep/guard/behaviour.py) */
	WAITS, /* of several in a row the first one stands for all */
	TOLD,
	TOLD_IF_EXECUTABLE, /* memory that is mapped or protected: only if it may be executed */
	TOLD_IF_ADDRESSED, /* what is sent: only if it says to whom */
};

enum {
	BY_PROCESS = 1,
	BY_FILE,
	BY_CGROUP,
};

/* Who is watched: a process (its id), who executes a file (inode, device), or who is in a cgroup (its id). */
struct subject {
	u64 number;
	u32 device;
	u32 by;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct subject);
	__type(value, u32); /* the profile */
} subjects SEC(".maps");

struct thread {
	u64 key; /* its last seven calls */
	u64 salt; /* the profile's, as the next two are */
	u32 first;
	u32 mask;
	u32 profile;
	u32 calls;
	u32 unjudged; /* calls until all of its key has been seen */
	u32 syscall; /* whose path or peer lay in memory that had not been read yet; it has been by the next call */
	const void *address; /* that it was given, where that was known */
	u64 args[6];
	bool owed;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

/*
 * The sequences that were learned, one profile behind the other: eight fingerprints of 64 bits in one line of the CPU's
 * cache, and two lines in which a sequence may stand (src/skep/guard/fingerprints.py fills them). A profile's lines lie
 * together, so that however many profiles there are, those of what runs stay in the cache. That a sequence which was
 * never learned has the fingerprint of another has a probability of one in 2^60, whatever is tried: the salts are secret.
 */
struct line {
	u64 prints[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct line);
} lines SEC(".maps");

/* How many watched threads have a number that ends so: of the others most need no lookup at all. */
u32 hints[HINTS];

/* What was told already: (profile, call, hash of its texts). */
struct telling {
	u64 hash;
	u32 profile;
	u32 syscall;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct telling);
	__type(value, u8);
} told SEC(".maps");

struct pace {
	u64 since; /* when the burst was last made smaller */
	u64 used; /* of the burst */
};

struct profile {
	u64 salt; /* that makes its fingerprints others than those of the other profiles */
	u32 first; /* of its lines */
	u32 mask; /* how many they are, a power of two, - 1 */
	struct pace paces[2]; /* of sequences, and of the rest: the one cannot drown the other */
	u64 unseen; /* sequences that were never learned */
	u64 untold[2]; /* reports held back, or for which the ring had no room */
	u64 calls; /* of threads that have ended */
	u64 unwatched; /* tasks for which there was no memory */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct profile);
} profiles SEC(".maps");

struct report {
	struct behaviour call;
	u64 key; /* of a sequence; 0: the call's texts are what is new */
	u64 born; /* when the thread was: with its number it is that thread, and none before it */
	u32 profile;
	u32 calls; /* of this thread, with this one */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
} reports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct report);
} scratch SEC(".maps");

/* By code: see NOTHING. */
const volatile u8 calls[CODES];
/* By the code of a call of a 32-bit program: that of the call which has its name. */
const volatile u16 compat_codes[CODES];
/* Nobody who does not know it finds a text with the hash of another one. */
const volatile u64 seed = 0;

static __always_inline bool has(u32 number, u64 print)
{
	struct line *line = bpf_map_lookup_elem(&lines, &number);
	int place;

	if (!line)
		return false;
	for (place = 0; place < 8; place++) {
		if (line->prints[place] == print)
			return true;
	}
	return false;
}

static __always_inline bool learned(const struct thread *thread)
{
	u64 print = thread->key ^ thread->salt;
	u32 first = thread->first, mask = thread->mask;

	print = (print ^ print >> 32) * 0x9fb21c651e98df25ULL;
	print = (print ^ print >> 29) * 0x9e3779b97f4a7c15ULL;
	print ^= print >> 32;
	return has(first + (print & mask), print) || has(first + (print >> 32 & mask), print);
}

/* Whether one more report may be sent now. Two at once may both be let through. */
static bool in_pace(struct pace *pace)
{
	u64 now = bpf_ktime_get_ns(), more = (now - pace->since) / PACE;

	if (more) {
		pace->used = more < pace->used ? pace->used - more : 0;
		pace->since = now;
	}
	if (pace->used >= BURST)
		return false;
	pace->used++;
	return true;
}

static struct report *prepare(struct task_struct *task, struct thread *thread)
{
	u32 zero = 0;
	struct report *report = bpf_map_lookup_elem(&scratch, &zero);

	if (!report)
		return NULL;
	report->call.ts = bpf_ktime_get_ns();
	report->call.pid = task->tgid;
	report->call.tid = task->pid;
	report->call.ppid = BPF_CORE_READ(task, real_parent, tgid);
	report->call.ret = 0;
	report->call.lost = report->call.depth = report->call.compat = 0;
	bpf_get_current_comm(report->call.comm, sizeof(report->call.comm));
	__builtin_memset(report->call.arguments, 0, TEXTS);
	report->key = 0;
	report->born = BPF_CORE_READ(task, start_boottime);
	report->profile = thread->profile;
	report->calls = thread->calls;
	return report;
}

static void send(struct report *report, u32 kind)
{
	u32 number = report->profile;
	struct profile *profile = bpf_map_lookup_elem(&profiles, &number);

	if (!profile)
		return;
	if (!in_pace(&profile->paces[kind]) || bpf_ringbuf_output(&reports, report, sizeof(*report), 0))
		__sync_fetch_and_add(&profile->untold[kind], 1);
}

/* Sends what a call is for, unless it was sent before. */
static void tell(struct report *report)
{
	const u64 *words = (const u64 *)report->call.arguments;
	struct telling once = { seed, report->profile, report->call.syscall };
	u8 yes = 1;
	int word;

	for (word = 0; word < TEXTS / sizeof(*words); word++)
		once.hash = ((once.hash ^ words[word]) * 0x9e3779b97f4a7c15ULL) ^ (once.hash >> 29);
	if (!bpf_map_update_elem(&told, &once, &yes, BPF_NOEXIST))
		send(report, 1);
}

static __noinline int unseen(struct task_struct *task, struct thread *thread, u32 syscall)
{
	u32 number = thread->profile;
	struct profile *profile = bpf_map_lookup_elem(&profiles, &number);
	struct report *report = prepare(task, thread);

	if (!profile || !report)
		return 0;
	__sync_fetch_and_add(&profile->unseen, 1);
	report->key = thread->key;
	report->call.syscall = syscall;
	send(report, 0);
	return 0;
}

static __noinline int tell_call(struct task_struct *task, struct thread *thread, bool again)
{
	struct report *report = prepare(task, thread);
	const char *path;
	bool unread;

	if (!report)
		return 0;
	report->call.syscall = thread->syscall;
	classify(&report->call, thread->args);
	unread = (!thread->address && address_of(thread->syscall, thread->args, &thread->address)) ||
		 read_peer(&report->call, thread->address);
	path = path_of(thread->syscall, thread->args);
	if (path)
		unread |= bpf_probe_read_user_str(report->call.path, sizeof(report->call.path), path) < 0;
	thread->owed = unread && !again;
	if (!thread->owed)
		tell(report);
	return 0;
}

/// @required
SEC("tp_btf/sys_enter")
int BPF_PROG(called, struct pt_regs *registers, long syscall)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread_info___x86 *info;
	struct thread *thread;
	bool compat;
	u32 code;
	u8 how;

	if (!hints[task->pid & (HINTS - 1)])
		return 0;
	thread = bpf_task_storage_get(&threads, task, NULL, 0);
	if (!thread)
		return 0;
	code = (u64)syscall < UNKNOWN - 1 ? syscall + 1 : UNKNOWN;
	info = (void *)&task->thread_info;
	compat = bpf_core_field_exists(info->status) && (info->status & TS_COMPAT);
	/* Older compilers know the limit of a copy of it only. */
	barrier_var(code);
	if (compat)
		code = compat_codes[code & UNKNOWN];
	how = calls[code & UNKNOWN];
	if (thread->owed)
		tell_call(task, thread, true);
	if (how == PASSED || (how == WAITS && (thread->key & UNKNOWN) == code))
		return 0;
	thread->key = (thread->key << 9 | code) & SEQUENCE;
	thread->calls++;
	if (thread->unjudged)
		thread->unjudged--;
	else if (!learned(thread))
		unseen(task, thread, syscall);
	if (how < TOLD || compat)
		return 0;
	thread->args[2] = PT_REGS_PARM3_CORE_SYSCALL(registers);
	thread->args[4] = PT_REGS_PARM5_CORE_SYSCALL(registers);
	if (how == TOLD_IF_EXECUTABLE && !(thread->args[2] & 4 /* PROT_EXEC */))
		return 0;
	thread->args[1] = PT_REGS_PARM2_CORE_SYSCALL(registers);
	thread->address = NULL;
	if (how == TOLD_IF_ADDRESSED && !address_of(syscall, thread->args, &thread->address) && !thread->address)
		return 0;
	thread->syscall = syscall;
	thread->args[0] = PT_REGS_PARM1_CORE_SYSCALL(registers);
	thread->args[3] = PT_REGS_PARM4_CORE_SYSCALL(registers);
	return tell_call(task, thread, false);
}

static struct thread *watch(struct task_struct *task, u32 number, u64 key, u32 unjudged)
{
	struct thread *thread = bpf_task_storage_get(&threads, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct profile *profile = bpf_map_lookup_elem(&profiles, &number);

	if (!profile)
		return NULL;
	if (!thread) {
		__sync_fetch_and_add(&profile->unwatched, 1);
		return NULL;
	}
	__sync_fetch_and_add(&hints[task->pid & (HINTS - 1)], 1);
	thread->salt = profile->salt;
	thread->first = profile->first;
	thread->mask = profile->mask;
	thread->profile = number;
	thread->key = key;
	thread->unjudged = unjudged;
	return thread;
}

/* The profile by which a task is to be watched, that none watches yet; NULL if by none. */
static u32 *profile_of(struct task_struct *task)
{
	struct subject subject = { .number = task->tgid, .by = BY_PROCESS };
	struct inode *inode = BPF_CORE_READ(task, mm, exe_file, f_inode);
	struct cgroup *group = BPF_CORE_READ(task, cgroups, dfl_cgrp);
	u32 *found = bpf_map_lookup_elem(&subjects, &subject);
	int level;

	if (found)
		return found;
	subject.number = BPF_CORE_READ(inode, i_ino);
	subject.device = BPF_CORE_READ(inode, i_sb, s_dev);
	subject.by = BY_FILE;
	found = bpf_map_lookup_elem(&subjects, &subject);
	subject.device = 0;
	subject.by = BY_CGROUP;
	for (level = 0; level < LEVELS && group && !found; level++) {
		subject.number = BPF_CORE_READ(group, kn, id);
		found = bpf_map_lookup_elem(&subjects, &subject);
		group = (void *)container_of(BPF_CORE_READ(group, self.parent), struct cgroup, self);
	}
	return found;
}

/* What runs when the watch begins: run once. */
/// @required
SEC("iter/task")
int adopt(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	u32 *profile;

	if (!task || bpf_task_storage_get(&threads, task, NULL, 0))
		return 0;
	profile = profile_of(task);
	if (profile)
		watch(task, *profile, 0, LENGTH - 1);
	return 0;
}

/* A child is watched as its parent is, from its first call on. */
/// @required
SEC("tp_btf/sched_process_fork")
int BPF_PROG(forked, struct task_struct *parent, struct task_struct *child)
{
	struct thread *thread = bpf_task_storage_get(&threads, parent, NULL, 0);

	if (thread)
		watch(child, thread->profile, 0, 0);
	return 0;
}

/// @required
SEC("tp_btf/sched_process_exec")
int BPF_PROG(executed, struct task_struct *task, pid_t old, struct linux_binprm *program)
{
	struct thread *thread = bpf_task_storage_get(&threads, task, NULL, 0);
	struct report *report;
	u32 *profile;

	if (!thread) {
		/* What the call was that brought it here was not seen, and can only have been this one. */
		profile = profile_of(task);
		thread = profile ? watch(task, *profile, __NR_execve + 1, 0) : NULL;
	}
	report = thread ? prepare(task, thread) : NULL;
	if (!report)
		return 0;
	/* A thread that executes a program takes the number of its process. */
	if (old != task->pid) {
		__sync_fetch_and_add(&hints[old & (HINTS - 1)], -1);
		__sync_fetch_and_add(&hints[task->pid & (HINTS - 1)], 1);
	}
	/* Of a program that was executed, the memory that held its path is gone. */
	thread->owed = false;
	report->call.syscall = __NR_execve;
	read_executable(&report->call, program);
	tell(report);
	return 0;
}

/// @required
SEC("tp_btf/sched_process_exit")
int BPF_PROG(ended, struct task_struct *task)
{
	struct thread *thread = bpf_task_storage_get(&threads, task, NULL, 0);
	u32 number = thread ? thread->profile : 0;
	struct profile *profile = thread ? bpf_map_lookup_elem(&profiles, &number) : NULL;

	if (profile) {
		__sync_fetch_and_add(&profile->calls, thread->calls);
		__sync_fetch_and_add(&hints[task->pid & (HINTS - 1)], -1);
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
