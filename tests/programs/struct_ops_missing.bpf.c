/* A struct of operations that no kernel has. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct skep_operations {
	int (*hook)(void);
};

SEC("struct_ops/hook")
int hook(void *ctx)
{
	return 0;
}

SEC(".struct_ops")
struct skep_operations unknown = {
	.hook = (void *)hook,
};

char LICENSE[] SEC("license") = "GPL";
