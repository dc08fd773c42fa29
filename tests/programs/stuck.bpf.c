/* An iterator that wants to be run for the same thing again, always. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

SEC("iter/bpf_prog")
int again(struct bpf_iter__bpf_prog *ctx)
{
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
