/* What the verifier refuses though the C is right: what the compiler made of it cannot be proven. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, char[256]);
} buffers SEC(".maps");

SEC("?tp/syscalls/sys_enter_openat")
int copy_is_tested(struct trace_event_raw_sys_enter *ctx)
{
	u32 key = 0, size = ctx->args[2];
	char *buffer = bpf_map_lookup_elem(&buffers, &key);
	u64 tested = size;

	if (!buffer)
		return 0;
	asm volatile("%0 <<= 32; %0 >>= 32" : "+r"(tested));
	if (tested > 256)
		return 0;
	asm volatile("" : "+r"(size));
	/* fails: size-argument */
	bpf_probe_read_user(buffer, size, (void *)ctx->args[1]);
	return 0;
}

SEC("?tp/syscalls/sys_enter_openat")
int length_of_string(struct trace_event_raw_sys_enter *ctx)
{
	u32 key = 0;
	char *buffer = bpf_map_lookup_elem(&buffers, &key);
	long length;

	if (!buffer)
		return 0;
	length = bpf_probe_read_user_str(buffer, 256, (void *)ctx->args[1]);
	/* fails: map-value-bounds */
	buffer[length] = 0;
	return 0;
}

SEC("?tp/syscalls/sys_enter_openat")
int mask_lost(struct trace_event_raw_sys_enter *ctx)
{
	u32 key = 0;
	u64 place = ctx->args[2], masked = place & 255;
	char *buffer = bpf_map_lookup_elem(&buffers, &key);

	if (!buffer)
		return 0;
	asm volatile("" : "+r"(masked));
	if (masked > 100)
		return 0;
	/* fails: map-value-bounds */
	buffer[place] = 1;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
