// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* Counts the getppid(2) of one process. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

const volatile __u32 pid_filter = 0;
__u64 seen;

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	if (bpf_get_current_pid_tgid() >> 32 == pid_filter)
		__sync_fetch_and_add(&seen, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
