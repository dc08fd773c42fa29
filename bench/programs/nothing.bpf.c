// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* nothing: what a program at the entry of every system call costs before it does anything. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

SEC("tp_btf/sys_enter")
int BPF_PROG(called)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
