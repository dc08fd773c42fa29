/* A struct that the kernel keeps for its own tests: it loads the programs, one of which may sleep, and registers none. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

SEC("struct_ops/test_1")
int awake(void *ctx)
{
	return 0;
}

SEC("struct_ops.s/test_sleepable")
int asleep(void *ctx)
{
	return 0;
}

SEC(".struct_ops")
struct bpf_dummy_ops untaken = {
	.test_1 = (void *)awake,
	.test_sleepable = (void *)asleep,
};

char LICENSE[] SEC("license") = "GPL";
