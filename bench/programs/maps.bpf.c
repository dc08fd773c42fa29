/* Maps to be read whole; what they hold is written from user space. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct counts {
	__u64 calls;
	__u64 bytes;
	__u32 errors;
	__s32 last;
	__u64 time;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1000000);
	__type(key, __u64);
	__type(value, struct counts);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 100000);
	__type(key, __u64);
	__type(value, struct counts);
} each SEC(".maps");

SEC("socket")
int nothing(void *ctx)
{
	__u64 key = 0;

	return bpf_map_lookup_elem(&table, &key) && bpf_map_lookup_elem(&each, &key);
}

char LICENSE[] SEC("license") = "GPL";
