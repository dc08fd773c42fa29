/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * What watch.bpf.c keeps of each thread that it watches.
 *
 * A storage of the task takes several microseconds to make and to free, and a server that begins a thread for every request
 * pays them each time. So a thread that begins is kept at the place of its number, if that is free (7 MB for all places).
 * The storage is for who runs already, and must never be seen half-written, and for numbers that end alike.
 */
#ifndef SKEP_THREADS_H
#define SKEP_THREADS_H

#define PLACES 65536

struct thread {
	u64 who; /* its process and its number; 0: the place is free */
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

/* By the end of a thread's number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PLACES);
	__type(key, u32);
	__type(value, struct thread);
} places SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

/*
 * How many watched threads have a number that ends so: of the others most need no lookup at all. It may be too many, where a
 * walk over all tasks met a thread as it began or ended; never too few.
 */
u32 hints[PLACES];

static __always_inline u32 *hint_of(u32 number)
{
	return &hints[number & (PLACES - 1)];
}

static __always_inline struct thread *place_of(u32 number)
{
	u32 place = number & (PLACES - 1);

	return bpf_map_lookup_elem(&places, &place);
}

static __always_inline u64 numbers(struct task_struct *task)
{
	return (u64)task->tgid << 32 | (u32)task->pid;
}

/* What is kept of a task; NULL if it is not watched. */
static __always_inline struct thread *thread_of(struct task_struct *task)
{
	struct thread *thread = place_of(task->pid);

	if (thread && thread->who == numbers(task))
		return thread;
	return bpf_task_storage_get(&threads, task, NULL, 0);
}

/* Keeps what is known of a task that none is kept of, and that begins or not; NULL if there is no memory for it. */
static struct thread *keep(struct task_struct *task, struct thread *fresh, bool begins)
{
	struct thread *thread = begins ? place_of(task->pid) : NULL;

	fresh->who = numbers(task);
	/* Numbers are given in turn: no other task with the same end begins at this moment. */
	if (thread && !thread->who)
		*thread = *fresh;
	else
		thread = bpf_task_storage_get(&threads, task, fresh, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (thread)
		__sync_fetch_and_add(hint_of(task->pid), 1);
	return thread;
}

/*
 * Before a thread executes a program: it takes the number of its process (fs/exec.c, de_thread()), and if that fails then,
 * it ends with it. Its storage goes with it. NULL if there is no memory for one.
 */
static struct thread *uproot(struct task_struct *task, struct thread *thread)
{
	struct thread *place = place_of(task->pid), *stored;

	if (!place || place->who != numbers(task))
		return thread;
	stored = bpf_task_storage_get(&threads, task, place, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (stored) {
		/* A walk over all tasks may have made one when the thread had just begun. */
		*stored = *place;
		__sync_fetch_and_add(hint_of(task->pid), 1);
	}
	place->who = 0;
	__sync_fetch_and_add(hint_of(task->pid), -1);
	return stored;
}

/* After it: it has another number than before. */
static void renumber(struct task_struct *task, struct thread *thread)
{
	if ((u32)thread->who == task->pid)
		return;
	__sync_fetch_and_add(hint_of(task->pid), 1);
	__sync_fetch_and_add(hint_of(thread->who), -1);
	thread->who = numbers(task);
}

/* Frees the place of a task that ends; the kernel frees its storage. */
static void leave(struct task_struct *task)
{
	struct thread *place = place_of(task->pid), *stored = bpf_task_storage_get(&threads, task, NULL, 0);

	if (place && place->who == numbers(task)) {
		place->who = 0;
		__sync_fetch_and_add(hint_of(task->pid), -1);
	}
	if (stored)
		__sync_fetch_and_add(hint_of(stored->who), -1);
}

#endif
