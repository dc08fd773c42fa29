/* Two rings, each with records of two types of one size that a member tells apart; records come whole and cut short. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

enum kind {
	OPENED = 1,
	CLOSED = 2,
	GONE = 300,
};

struct header {
	u32 pid;
	u16 kind;
};

struct opened {
	struct header header;
	u32 number;
	char name[16];
};

struct closed {
	struct header header;
	u32 code;
	u64 times[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
} more SEC(".maps");

const volatile pid_t pid_filter = 0;

static void mark(struct header *header, enum kind kind)
{
	header->pid = bpf_get_current_pid_tgid() >> 32;
	header->kind = kind;
}

static void *reserve(u64 size)
{
	return bpf_ringbuf_reserve(&events, size, 0);
}

static void send(void *ctx, void *record, u32 size)
{
	bpf_perf_event_output(ctx, &more, BPF_F_CURRENT_CPU, record, size);
}

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	struct opened *opened;
	struct closed *closed;
	struct opened cut = {};
	struct closed whole = {};

	if (bpf_get_current_pid_tgid() >> 32 != pid_filter)
		return 0;
	opened = reserve(sizeof(*opened));
	if (!opened)
		return 0;
	mark(&opened->header, OPENED);
	opened->number = bpf_ktime_get_ns() ? 7 : 0;
	__builtin_memcpy(opened->name, "some name", 10);
	bpf_ringbuf_submit(opened, 0);
	for (u32 code = 0; code < 2; code++) {
		closed = reserve(sizeof(*closed));
		if (!closed)
			return 0;
		mark(&closed->header, code ? GONE : CLOSED);
		closed->code = code + 10;
		bpf_ringbuf_submit(closed, 0);
	}
	mark(&cut.header, OPENED);
	cut.number = bpf_ktime_get_ns() ? 8 : 0;
	__builtin_memcpy(cut.name, "cut", 4);
	send(ctx, &cut, sizeof(cut) - 12);
	mark(&whole.header, CLOSED);
	whole.code = bpf_ktime_get_ns() ? 9 : 0;
	send(ctx, &whole, sizeof(whole));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
