// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* Programs on a cgroup that let everything through: two of one kind, and one of another. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

SEC("cgroup/connect4")
int first(struct bpf_sock_addr *ctx)
{
	return 1;
}

SEC("cgroup/connect4")
int second(struct bpf_sock_addr *ctx)
{
	return 1;
}

SEC("cgroup/dev")
int other(struct bpf_cgroup_dev_ctx *ctx)
{
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
