/* Sends records of two sizes in turn through a ring buffer. */
#include "record.h"

struct note {
	__u32 pid;
	__u32 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} events SEC(".maps");

static int send(__u32 number, void *unused)
{
	struct record *record;
	struct note *note;

	if (number & 1) {
		note = bpf_ringbuf_reserve(&events, sizeof(*note), 0);
		if (!note)
			return 0;
		note->pid = 4242;
		note->number = number;
		bpf_ringbuf_submit(note, BPF_RB_NO_WAKEUP);
		return 0;
	}
	record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	if (!record)
		return 0;
	write_record(record, number);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("raw_tp")
int produce(void *ctx)
{
	bpf_loop(count, send, 0, 0);
	return 0;
}
