/* A program that runs once: it sends what it finds in its argument, and its answer is an error. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct argument {
	u64 first;
	u64 second;
};

struct found {
	u64 sum;
	u64 runs;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

static u64 runs;

SEC("syscall")
int ask(struct argument *argument)
{
	struct found found = { .sum = argument->first + argument->second };

	found.runs = __sync_fetch_and_add(&runs, 1) + 1;
	bpf_ringbuf_output(&events, &found, sizeof(found), 0);
	return -2;
}

char LICENSE[] SEC("license") = "GPL";
