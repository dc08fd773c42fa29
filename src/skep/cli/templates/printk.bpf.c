// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* Which processes start another program: the shortest way to see something. A line is text; for columns, options of the
 * output and JSON, send records (skep new --kind tracepoint). */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

/// Only this process (0: all).
const volatile pid_t pid_target = 0; /* becomes the option --pid-target */

/* Runs whenever a process has started another program. Hooks of this kind are listed in /sys/kernel/tracing/events. */
SEC("tp/sched/sched_process_exec")
int executed(void *ctx)
{
	/* The upper half is what user space calls a process, the lower half a thread. */
	pid_t pid = bpf_get_current_pid_tgid() >> 32;

	/* In scope is what `-- COMMAND` or `-p PID` asks for; without them, everything. */
	if (!skep_in_scope() || (pid_target && pid != pid_target))
		return 0;
	bpf_printk("process %d starts a program", pid);
	return 0;
}

/// Prints a line for every program that is executed.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
