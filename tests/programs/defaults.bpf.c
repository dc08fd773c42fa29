/* One map of each kind that has a default size, or none, with no size given. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define OPEN(NAME, TYPE, KEY)                          \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_##TYPE);     \
		__type(key, KEY);                      \
		__type(value, u64);                    \
	} NAME SEC(".maps")

OPEN(hash, HASH, u32);
OPEN(percpu_hash, PERCPU_HASH, u32);
OPEN(lru_hash, LRU_HASH, u32);
OPEN(lru_percpu_hash, LRU_PERCPU_HASH, u32);
OPEN(lpm_trie, LPM_TRIE, u64);

#define HELD(NAME, TYPE)                               \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_##TYPE);     \
		__type(value, u64);                    \
	} NAME SEC(".maps")

HELD(queue, QUEUE);
HELD(stack, STACK);
HELD(bloom_filter, BLOOM_FILTER);

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u64);
} task_storage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
} cgroup_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
} user_ringbuf SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(key_size, sizeof(u32));
	__array(values, struct inner);
} hash_of_maps SEC(".maps");

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
