// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* hello: who writes? The smallest program that says something. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

/// Only writes of this process (0: of all).
const volatile pid_t pid_filter = 0;

SEC("tp/syscalls/sys_enter_write")
int hello(void *ctx)
{
	/* The upper half is what user space calls a process, the lower half a thread. */
	pid_t pid = bpf_get_current_pid_tgid() >> 32;

	if (!skep_in_scope() || (pid_filter && pid != pid_filter))
		return 0;
	bpf_printk("write by process %d", pid);
	return 0;
}

/// Prints a line for every write(2), as a first program does.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
