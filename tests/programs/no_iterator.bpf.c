/* An iterator over something that no kernel has. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

SEC("iter/no_such_thing")
int nothing(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
