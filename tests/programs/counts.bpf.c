/* Only counts, in maps: whose writes there were, on which CPUs, and how long they were. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct sink {
	u32 pid;
	u32 fd;
};

struct written {
	u64 calls;
	u64 bytes;
};

struct lengths {
	u32 slots[16];
	char comm[16];
};

const volatile pid_t pid_target = 0;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct sink);
	__type(value, struct written);
} writers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, struct lengths);
} lengths SEC(".maps");

SEC("tp/syscalls/sys_enter_write")
int wrote(struct trace_event_raw_sys_enter *ctx)
{
	pid_t pid = bpf_get_current_pid_tgid() >> 32;
	struct sink key = { .pid = pid, .fd = ctx->args[0] };
	struct written first = {}, *written;
	struct lengths empty = {}, *found;
	u64 length = ctx->args[2], *count;
	u32 one = 1, slot = 0;

	if (pid_target && pid != pid_target)
		return 0;
	bpf_map_update_elem(&writers, &key, &first, BPF_NOEXIST);
	written = bpf_map_lookup_elem(&writers, &key);
	if (written) {
		written->calls++;
		written->bytes += length;
	}
	count = bpf_map_lookup_elem(&calls, &one);
	if (count)
		(*count)++;
	bpf_get_current_comm(empty.comm, sizeof(empty.comm));
	bpf_map_update_elem(&lengths, &one, &empty, BPF_NOEXIST);
	found = bpf_map_lookup_elem(&lengths, &one);
	for (int bit = 1; bit < 16; bit++)
		if (length >> bit)
			slot = bit;
	if (found && slot < 16)
		found->slots[slot]++;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
