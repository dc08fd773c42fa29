/* Maps of every kind that user space may fill before a run. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define MAP(name, kind, key_type, value_type, entries)  \
	struct {                                        \
		__uint(type, BPF_MAP_TYPE_##kind);      \
		__uint(max_entries, entries);           \
		__type(key, key_type);                  \
		__type(value, value_type);              \
	} name SEC(".maps")

typedef char comm_t[16];
enum occupation { IDLE, BUSY };

MAP(allowed, HASH, u32, u64, 2);
MAP(names, HASH, comm_t, u8, 8);
MAP(states, LRU_HASH, enum occupation, bool, 8);
MAP(slots, ARRAY, u32, u16, 4);
MAP(each_cpu, PERCPU_HASH, u16, u32, 8);

struct prefix {
	u32 length;
	u8 address[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 8);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, u8);
} networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 2);
	__type(value, u32);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
	__uint(max_entries, 2);
} jumps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
	__uint(max_entries, 1);
} cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	bpf_tail_call(ctx, &jumps, 1);
	return 0;
}

SEC("tp/syscalls/sys_enter_getppid")
int target(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
