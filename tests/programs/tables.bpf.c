/* Maps of the kinds that are read and written whole. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct counts {
	u64 calls;
	s32 least;
	u16 pair[2];
};

struct prefix {
	u32 length;
	u8 address[4];
};

#define TABLE(name, kind, entries, key_type)            \
	struct {                                        \
		__uint(type, kind);                     \
		__uint(max_entries, entries);           \
		__uint(map_flags, map_flags_);          \
		__type(key, key_type);                  \
		__type(value, struct counts);           \
	} name SEC(".maps")

#define map_flags_ 0
TABLE(hash, BPF_MAP_TYPE_HASH, 20000, u64);
TABLE(lru_hash, BPF_MAP_TYPE_LRU_HASH, 20000, u64);
TABLE(array, BPF_MAP_TYPE_ARRAY, 5000, u32);
TABLE(percpu_hash, BPF_MAP_TYPE_PERCPU_HASH, 5000, u64);
TABLE(percpu_array, BPF_MAP_TYPE_PERCPU_ARRAY, 100, u32);
#undef map_flags_
#define map_flags_ BPF_F_NO_PREALLOC
TABLE(lpm_trie, BPF_MAP_TYPE_LPM_TRIE, 100, struct prefix);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, char[16]);
} names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u64[4]);
} wide SEC(".maps");

SEC("socket")
int nothing(struct __sk_buff *ctx)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&array, &key) != 0;
}

char LICENSE[] SEC("license") = "GPL";
