/* As ring.bpf.c sends, but numbers alone: records without texts that would end at a NUL. */
#include "record.h"

struct numbers {
	__u64 number;
	__u64 values[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} events SEC(".maps");

static int send(__u32 number, void *unused)
{
	struct numbers *numbers = bpf_ringbuf_reserve(&events, sizeof(*numbers), 0);

	if (!numbers)
		return 0;
	numbers->number = number;
	for (int i = 0; i < 7; i++)
		numbers->values[i] = number;
	bpf_ringbuf_submit(numbers, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("raw_tp")
int produce(void *ctx)
{
	bpf_loop(count, send, 0, 0);
	return 0;
}
