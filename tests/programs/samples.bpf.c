/* A sample a record: whose it is, and how often one is taken. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

struct hit {
	u32 pid;
	u32 tid;
	u64 period;
	u32 frequency;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} samples SEC(".maps");

const volatile u32 sample_freq = 0;

SEC("perf_event")
int take(struct bpf_perf_event_data *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	struct hit *sample = skep_reserve(&samples, struct hit);

	if (!sample)
		return 0;
	sample->pid = id >> 32;
	sample->tid = id;
	sample->period = ctx->sample_period;
	sample->frequency = sample_freq;
	bpf_ringbuf_submit(sample, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
