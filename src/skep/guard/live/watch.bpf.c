// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/*
 * Watches programs whose behaviour is known (src/skep/guard/live/watcher.py): tells the sequences of calls that were never
 * learned, and what calls are for, each thing once. While all is as learned, nothing leaves the kernel.
 *
 * A thread's last seven calls are one key of 63 bits, as in src/skep/guard/behaviour.py.
 */
#include "vmlinux.h"
#include <asm/unistd.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"
#include "../../tools/behaviour/behaviour.h"
#include "threads.h"

#define CODES 512
#define UNKNOWN (CODES - 1)
#define SEQUENCE 0x7fffffffffffffffULL
#define LENGTH 7
/* cgroups above a task's own that may be watched. */
#define LEVELS 8
#define PF_EXITING 0x4 /* include/linux/sched.h */
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

/* What becomes of a report of what a call is for: that of a flood is held back, until it comes again. */
enum {
	NEW,
	HELD_BACK,
	SENT,
};

/* What was to be told already: (profile, call, hash of what it is for). */
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
	u64 untold[2]; /* reports held back, or for which the ring had no room: of what calls are for, each once */
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
/* The process that watches: what it does about an alarm is not to raise the next one. */
const volatile u32 guard = 0;
/* Watched threads that the walk over all tasks has found. */
u32 seen;

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

/* A report in which nothing is told yet. */
static struct report *blank(void)
{
	u32 zero = 0;
	struct report *report = bpf_map_lookup_elem(&scratch, &zero);

	if (report)
		report->call.arguments[0] = report->call.path[0] = report->call.peer[0] = report->call.child[0] = 0;
	return report;
}

/* Sends what is told of a thread: a sequence, or with none (0) what its call is for. Whether it could be sent. */
static bool send(struct report *report, struct task_struct *task, struct thread *thread, u32 syscall, u64 key)
{
	u32 number = thread->profile;
	struct profile *profile = bpf_map_lookup_elem(&profiles, &number);

	if (!profile)
		return false;
	report->call.ts = bpf_ktime_get_ns();
	report->call.pid = task->tgid;
	report->call.tid = task->pid;
	report->call.ppid = task->real_parent->tgid;
	report->call.ret = 0;
	report->call.syscall = syscall;
	report->call.lost = report->call.depth = report->call.compat = 0;
	bpf_get_current_comm(report->call.comm, sizeof(report->call.comm));
	report->key = key;
	report->born = task->start_boottime;
	report->profile = number;
	report->calls = thread->calls;
	return in_pace(&profile->paces[!key]) && !bpf_ringbuf_output(&reports, report, sizeof(*report), 0);
}

static __always_inline u64 mix(u64 hash, u64 word)
{
	return ((hash ^ word) * 0x9e3779b97f4a7c15ULL) ^ (hash >> 29);
}

/* As long as texts of a report are at most. */
struct text {
	char bytes[256];
};

/*
 * A text of so many bytes, the last of which is 0; none if there are none. It is not static: so the verifier follows it
 * once, and not for each way that leads here (since 5.12 such functions may take pointers).
 */
__noinline u64 mix_text(u64 hash, const struct text *text, long length)
{
	u32 at;

	if (!text)
		return hash;
	for (at = 0; at < sizeof(text->bytes) && at < length; at += sizeof(u64)) {
		u64 word = *(const u64 *)(text->bytes + at);

		/* What stands behind the text was left there by another one. */
		if (length - at < sizeof(u64))
			word &= (1ULL << 8 * (length - at)) - 1;
		hash = mix(hash, word);
	}
	return hash;
}

/* Sends what a call is for, once. */
static __always_inline void tell(struct report *report, struct task_struct *task, struct thread *thread, u32 syscall,
					 u64 hash, struct asked asked)
{
	struct telling once = { hash, thread->profile, syscall };
	u8 *found = bpf_map_lookup_elem(&told, &once), before = found ? *found : NEW, after = SENT;
	struct profile *profile;

	/* Looked up first: an update takes a place from the map before it finds that it needs none. */
	if (before == SENT)
		return;
	profile = bpf_map_lookup_elem(&profiles, &once.profile);
	if (!profile)
		return;
	/* Of several at once one sends it. */
	if (before == NEW && bpf_map_update_elem(&told, &once, &after, BPF_NOEXIST))
		return;
	write_asked(&report->call, asked);
	if (!send(report, task, thread, syscall, 0)) {
		after = HELD_BACK;
		if (before == NEW)
			__sync_fetch_and_add(&profile->untold[1], 1);
	}
	if (before == HELD_BACK || after == HELD_BACK)
		bpf_map_update_elem(&told, &once, &after, BPF_ANY);
}

static __noinline int unseen(struct task_struct *task, struct thread *thread, u32 syscall)
{
	u32 number = thread->profile;
	struct profile *profile = bpf_map_lookup_elem(&profiles, &number);
	struct report *report = blank();

	if (!profile || !report)
		return 0;
	__sync_fetch_and_add(&profile->unseen, 1);
	if (!send(report, task, thread, syscall, thread->key))
		__sync_fetch_and_add(&profile->untold[0], 1);
	return 0;
}

static __noinline int tell_call(struct task_struct *task, struct thread *thread, bool again)
{
	struct asked asked = asked_of(thread->syscall, thread->args);
	const char *path = path_of(thread->syscall, thread->args);
	u64 hash = mix(mix(seed, asked.first), asked.second);
	struct report *report = blank();
	bool unread = false;
	long length;

	if (!report)
		return 0;
	if (!thread->address)
		unread = address_of(thread->syscall, thread->args, &thread->address);
	if (thread->address) {
		__builtin_memset(report->call.peer, 0, sizeof(report->call.peer));
		unread |= !!read_peer(&report->call, thread->address);
		hash = mix_text(hash, (const void *)report->call.peer, sizeof(report->call.peer));
	}
	if (path) {
		length = bpf_probe_read_user_str(report->call.path, sizeof(report->call.path), path);
		unread |= length < 0;
		hash = mix_text(hash, (const void *)report->call.path, length);
	}
	thread->owed = unread && !again;
	if (!thread->owed)
		tell(report, task, thread, thread->syscall, hash, asked);
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

	if (!*hint_of(task->pid))
		return 0;
	thread = thread_of(task);
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
	if (task->pid != task->tgid && (code == __NR_execve + 1 || code == __NR_execveat + 1)) {
		thread = uproot(task, thread);
		if (!thread)
			return 0;
	}
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
	thread->args[2] = PT_REGS_PARM3_SYSCALL(registers);
	thread->args[4] = PT_REGS_PARM5_SYSCALL(registers);
	if (how == TOLD_IF_EXECUTABLE && !(thread->args[2] & 4 /* PROT_EXEC */))
		return 0;
	thread->args[1] = PT_REGS_PARM2_SYSCALL(registers);
	thread->address = NULL;
	if (how == TOLD_IF_ADDRESSED && !address_of(syscall, thread->args, &thread->address) && !thread->address)
		return 0;
	thread->syscall = syscall;
	thread->args[0] = PT_REGS_PARM1_SYSCALL(registers);
	thread->args[3] = PT_REGS_PARM4_SYSCALL(registers);
	return tell_call(task, thread, false);
}

/* Watches a task, which begins or not, from its next call on. */
static struct thread *watch(struct task_struct *task, u32 number, u64 key, u32 unjudged, bool begins)
{
	struct profile *profile = bpf_map_lookup_elem(&profiles, &number);
	struct thread *thread, fresh = { .key = key, .profile = number, .unjudged = unjudged };

	if (!profile)
		return NULL;
	fresh.salt = profile->salt;
	fresh.first = profile->first;
	fresh.mask = profile->mask;
	thread = keep(task, &fresh, begins);
	if (!thread)
		__sync_fetch_and_add(&profile->unwatched, 1);
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

	if (found || task->tgid == guard)
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

/* Attached before those that begin to watch: whatever place they give is freed. */
/// @required
SEC("tp_btf/sched_process_exit")
int BPF_PROG(ended, struct task_struct *task)
{
	struct thread *thread = thread_of(task);
	u32 number = thread ? thread->profile : 0;
	struct profile *profile = thread ? bpf_map_lookup_elem(&profiles, &number) : NULL;

	if (profile) {
		__sync_fetch_and_add(&profile->calls, thread->calls);
		leave(task);
	}
	return 0;
}

/* What runs when the watch begins, or when a subject is another one than before; and who is watched now. */
/// @required
SEC("iter/task")
int adopt(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	struct thread *thread;
	u32 *profile;

	if (!task || task->flags & PF_EXITING)
		return 0;
	thread = thread_of(task);
	if (!thread) {
		profile = profile_of(task);
		thread = profile ? watch(task, *profile, 0, LENGTH - 1, false) : NULL;
	}
	if (thread)
		seen++;
	return 0;
}

/* A child is watched as its parent is, from its first call on. */
/// @required
SEC("tp_btf/sched_process_fork")
int BPF_PROG(forked, struct task_struct *parent, struct task_struct *child)
{
	struct thread *thread = thread_of(parent);

	/* The walk over all tasks may have found it first. */
	if (thread && !thread_of(child))
		watch(child, thread->profile, 0, 0, true);
	return 0;
}

/// @required
SEC("tp_btf/sched_process_exec")
int BPF_PROG(executed, struct task_struct *task, pid_t old, struct linux_binprm *program)
{
	struct thread *thread = thread_of(task);
	struct report *report;
	u32 *profile;
	u64 hash;

	if (thread) {
		renumber(task, thread);
	} else {
		/* What the call was that brought it here was not seen, and can only have been this one. */
		profile = profile_of(task);
		thread = profile ? watch(task, *profile, __NR_execve + 1, 0, false) : NULL;
	}
	report = thread ? blank() : NULL;
	if (!report)
		return 0;
	/* Of a program that was executed, the memory that held its path is gone. */
	thread->owed = false;
	__builtin_memset(report->call.child, 0, sizeof(report->call.child));
	read_executable(&report->call, program);
	hash = mix_text(seed, (const void *)report->call.child, sizeof(report->call.child));
	tell(report, task, thread, __NR_execve, hash, (struct asked){});
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
