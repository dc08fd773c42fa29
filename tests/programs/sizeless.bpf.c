/* An array whose size only the user knows. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, u32);
	__type(value, u64);
} slots SEC(".maps");

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&slots, &key) != NULL;
}

char LICENSE[] SEC("license") = "GPL";
