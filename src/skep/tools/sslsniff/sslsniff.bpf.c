// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* sslsniff: what a process says and hears over TLS, before it is encrypted and after it was decrypted. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

#define DATA_SIZE 16384 /* what one record of TLS holds at most (RFC 8446, 5.1) */
#define PLACES 4

/// Only this process. It has to be named, or a command given: nobody reads along with all.
/// @required
const volatile pid_t pid_target = 0;

enum direction { READ_FROM_PEER, WRITTEN_TO_PEER };

struct event {
	u64 time;
	u32 pid;
	u32 tid;
	char comm[16];
	enum direction direction;
	u32 length; /* of what was said; data may hold less */
	u32 cut;    /* bytes that data does not hold */
	char data[DATA_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
} events SEC(".maps");

/*
 * An event is too large for the stack of a program, and a ring reserves no size that is known only when it runs. A program on
 * a uprobe stays on its CPU, but others may run there before it goes on: each takes a place that is free.
 */
struct place {
	u64 taken;
	struct event event;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PLACES);
	__type(key, u32);
	__type(value, struct place);
} places SEC(".maps");

/* What a thread handed over, from the entry of a call to its return. Of those that end in a call, the oldest make room. */
struct call {
	const char *data;
	size_t *length; /* where the _ex functions write it; else it is what they return */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, struct call);
} calls SEC(".maps");

/* Asked at the return, too: what a thread of ours has left behind is not for whoever gets its id next. */
static bool is_wanted(u32 pid)
{
	return skep_in_scope() && (pid_target ? pid == pid_target : skep_scoped);
}

static int enter(const char *data, size_t *length)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, pid = id >> 32;
	struct call call = { .data = data, .length = length };

	if (!is_wanted(pid))
		return 0;
	if (bpf_map_update_elem(&calls, &tid, &call, BPF_ANY))
		skep_lost();
	return 0;
}

static struct place *take_place(void)
{
	for (int i = 0; i < PLACES; i++) {
		u32 number = i; /* the verifier counts turns in registers alone */
		struct place *place = bpf_map_lookup_elem(&places, &number);

		if (place && !__sync_lock_test_and_set(&place->taken, 1))
			return place;
	}
	skep_lost();
	return NULL;
}

static void send(const char *data, u64 length, enum direction direction)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 size = length < DATA_SIZE ? length : DATA_SIZE;
	struct place *place = take_place();
	struct event *event;

	if (!place)
		return;
	event = &place->event;
	event->time = bpf_ktime_get_ns();
	event->pid = id >> 32;
	event->tid = id;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->direction = direction;
	event->length = length;
	event->cut = length - size;
	if (bpf_probe_read_user(event->data, size, data))
		size = 0;
	if (size < DATA_SIZE)
		event->data[size] = 0;
	/* Only the part of the last array that is filled is sent. */
	if (bpf_ringbuf_output(&events, event, offsetof(struct event, data) + size, 0))
		skep_lost();
	place->taken = 0;
}

static int leave(int ret, enum direction direction)
{
	u64 id = bpf_get_current_pid_tgid(), length = ret;
	u32 tid = id;
	struct call *call = bpf_map_lookup_elem(&calls, &tid);

	if (!call || !is_wanted(id >> 32))
		return 0;
	/* 0 and below: nothing was read or written. */
	if (ret > 0 && (!call->length || !bpf_probe_read_user(&length, sizeof(length), call->length)))
		send(call->data, length, direction);
	bpf_map_delete_elem(&calls, &tid);
	return 0;
}

SEC("uprobe/libssl:SSL_read")
int BPF_UPROBE(enter_read, void *connection, const char *data)
{
	return enter(data, NULL);
}

SEC("uretprobe/libssl:SSL_read")
int BPF_URETPROBE(leave_read, int ret)
{
	return leave(ret, READ_FROM_PEER);
}

SEC("uprobe/libssl:SSL_write")
int BPF_UPROBE(enter_write, void *connection, const char *data)
{
	return enter(data, NULL);
}

SEC("uretprobe/libssl:SSL_write")
int BPF_URETPROBE(leave_write, int ret)
{
	return leave(ret, WRITTEN_TO_PEER);
}

/* The same with a length of 64 bits, as Python calls them: they return 1 or 0. */
SEC("uprobe/libssl:SSL_read_ex")
int BPF_UPROBE(enter_read_ex, void *connection, const char *data, size_t size, size_t *length)
{
	return enter(data, length);
}

SEC("uretprobe/libssl:SSL_read_ex")
int BPF_URETPROBE(leave_read_ex, int ret)
{
	return leave(ret, READ_FROM_PEER);
}

SEC("uprobe/libssl:SSL_write_ex")
int BPF_UPROBE(enter_write_ex, void *connection, const char *data, size_t size, size_t *length)
{
	return enter(data, length);
}

SEC("uretprobe/libssl:SSL_write_ex")
int BPF_URETPROBE(leave_write_ex, int ret)
{
	return leave(ret, WRITTEN_TO_PEER);
}

/// Shows what a process says and hears over TLS, before it is encrypted and after it was decrypted.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
