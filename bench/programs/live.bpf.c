/* The same as ring.bpf.c, but wakes the reader. */
#include "record.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} events SEC(".maps");

__u64 lost = 0;

static int send(__u32 number, void *unused)
{
	struct record *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);

	if (!record) {
		lost++;
		return 0;
	}
	write_record(record, number);
	bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC("raw_tp")
int produce(void *ctx)
{
	bpf_loop(count, send, 0, 0);
	return 0;
}
