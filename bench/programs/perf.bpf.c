/* Sends `count` records through the perf buffer of this CPU, each time it is run. */
#include "record.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} events SEC(".maps");

SEC("raw_tp")
int produce(void *ctx)
{
	struct record record;

	for (__u32 number = 0; number < count && number < 100000; number++) {
		__builtin_memset(&record, 0, sizeof(record));
		write_record(&record, number);
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &record, sizeof(record));
	}
	return 0;
}
