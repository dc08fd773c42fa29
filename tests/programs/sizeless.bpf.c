/* A map whose size only the user knows. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, u32);
	__type(value, u32);
} slots SEC(".maps");

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	bpf_tail_call(ctx, &slots, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
