/* A map of every kind that user space can read or write, and a program that uses each from the kernel's side. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define MAP(name, kind, entries, key_type, value_type)  \
	struct {                                        \
		__uint(type, BPF_MAP_TYPE_##kind);      \
		__uint(max_entries, entries);           \
		__type(key, key_type);                  \
		__type(value, value_type);              \
	} name SEC(".maps")

struct flow {
	u32 source;
	u16 port;
	u8 protocol;
};

struct seen {
	u64 packets;
	u32 bytes;
	char comm[8];
};

struct prefix {
	u32 length;
	u8 address[4];
};

struct prefix6 {
	u32 length;
	u8 address[16];
};

MAP(hash, HASH, 8, struct flow, struct seen);
/* Of fewer entries, some go before it is full: each CPU keeps some free ones. */
MAP(lru_hash, LRU_HASH, 1024, u32, u64);
MAP(array, ARRAY, 4, u32, u64);
MAP(percpu_hash, PERCPU_HASH, 8, u32, u32);
MAP(lru_percpu_hash, LRU_PERCPU_HASH, 1024, u32, u32);
MAP(percpu_array, PERCPU_ARRAY, 2, u32, u32);
MAP(lpm_trie, LPM_TRIE, 8, struct prefix, u64);
MAP(lpm_trie6, LPM_TRIE, 8, struct prefix6, u64);
MAP(stack_trace, STACK_TRACE, 64, u32, u64[127]);
MAP(cgroup_array, CGROUP_ARRAY, 2, u32, u32);
MAP(perf_event_array, PERF_EVENT_ARRAY, 2, u32, u32);

#define KEYLESS(name, kind)                             \
	struct {                                        \
		__uint(type, BPF_MAP_TYPE_##kind);      \
		__uint(max_entries, 8);                 \
		__type(value, u64);                     \
	} name SEC(".maps")

KEYLESS(queue, QUEUE);
KEYLESS(stack, STACK);
KEYLESS(bloom_filter, BLOOM_FILTER);

struct inner {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, u32);
	__array(values, struct inner);
} array_of_maps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, u64);
	__array(values, struct inner);
} hash_of_maps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u32);
} prog_array SEC(".maps");

/* What the programs found in the maps, for user space to compare. */
MAP(found, ARRAY, 16, u32, u64);

static void tell(u32 place, u64 value)
{
	bpf_map_update_elem(&found, &place, &value, BPF_ANY);
}

static void count(void *map, u32 key, u64 by)
{
	u64 *value = bpf_map_lookup_elem(map, &key);

	if (value)
		*value += by;
}

static void count_cpu(void *map, u32 key)
{
	u32 one = 1, *value = bpf_map_lookup_elem(map, &key);

	if (value)
		*value += 1;
	else
		bpf_map_update_elem(map, &key, &one, BPF_ANY);
}

/* Each map is read, so that `found` shows what user space wrote, and written to. */
SEC("raw_tp/sys_enter")
int tables(void *ctx)
{
	struct flow known = { .source = 1, .port = 80, .protocol = 6 }, new = { .source = 2, .port = 443, .protocol = 17 };
	struct prefix address = { .length = 32, .address = { 10, 1, 2, 3 } };
	struct prefix net = { .length = 16, .address = { 192, 168 } };
	struct prefix6 address6 = { .length = 128, .address = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };
	struct seen seen = { .packets = 7, .bytes = 9, .comm = "kernel" }, *old;
	u64 *value, number = 0;
	u32 key = 5;

	old = bpf_map_lookup_elem(&hash, &known);
	if (old) {
		tell(0, old->packets << 32 | old->bytes);
		old->packets++;
	}
	bpf_map_update_elem(&hash, &new, &seen, BPF_ANY);
	count(&lru_hash, 1, 10);
	number = 50;
	bpf_map_update_elem(&lru_hash, &key, &number, BPF_ANY);
	count(&array, 1, 10);
	count_cpu(&percpu_hash, 1);
	count_cpu(&lru_percpu_hash, 1);
	count_cpu(&percpu_array, 1);
	value = bpf_map_lookup_elem(&lpm_trie, &address);
	tell(1, value ? *value : 0);
	bpf_map_update_elem(&lpm_trie, &net, &number, BPF_ANY);
	value = bpf_map_lookup_elem(&lpm_trie6, &address6);
	tell(2, value ? *value : 0);
	return 0;
}

SEC("raw_tp/sys_enter")
int keyless(void *ctx)
{
	u64 value = 0;

	tell(3, bpf_map_pop_elem(&queue, &value) ? 0 : value);
	tell(4, bpf_map_pop_elem(&stack, &value) ? 0 : value);
	value = 77;
	bpf_map_push_elem(&queue, &value, BPF_ANY);
	bpf_map_push_elem(&stack, &value, BPF_ANY);
	bpf_map_push_elem(&bloom_filter, &value, BPF_ANY);
	value = 5;
	tell(5, !bpf_map_peek_elem(&bloom_filter, &value));
	return 0;
}

SEC("raw_tp/sys_enter")
int nested(void *ctx)
{
	u64 name = 7, number = 70;
	void *map;
	u32 key = 1;

	map = bpf_map_lookup_elem(&array_of_maps, &key);
	if (map) {
		count(map, 1, 10);
		key = 2;
		bpf_map_update_elem(map, &key, &number, BPF_ANY);
	}
	map = bpf_map_lookup_elem(&hash_of_maps, &name);
	if (map)
		count(map, 1, 20);
	return 0;
}

SEC("raw_tp/sys_enter")
int called(void *ctx)
{
	count(&found, 9, 1);
	return 0;
}

SEC("raw_tp/sys_enter")
int calls_on(void *ctx)
{
	bpf_tail_call(ctx, &prog_array, 1);
	return 0;
}

SEC("perf_event")
int another_kind(void *ctx)
{
	return 0;
}

/* 1 if the task is in the cgroup, 2 if it is not. */
SEC("raw_tp/sys_enter")
int in_cgroup(void *ctx)
{
	tell(6, bpf_current_task_under_cgroup(&cgroup_array, 1) == 1 ? 1 : 2);
	return 0;
}

SEC("raw_tp/sys_enter")
int stacks(void *ctx)
{
	tell(7, bpf_get_stackid(ctx, &stack_trace, 0));
	return 0;
}

/* Sends one record through the ring of this CPU. */
SEC("raw_tp/sys_enter")
int sends(void *ctx)
{
	u64 value = 77;

	tell(8, -bpf_perf_event_output(ctx, &perf_event_array, BPF_F_CURRENT_CPU, &value, sizeof(value)));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
