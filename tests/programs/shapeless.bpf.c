/* A map of whose keys user space alone knows how large they are. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(value, u32);
} hashes SEC(".maps");

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	u64 key = 0;

	return bpf_map_lookup_elem(&hashes, &key) != NULL;
}

char LICENSE[] SEC("license") = "GPL";
