/* Prints two lines for one process: one format of its own, and one with more than three arguments. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

const volatile pid_t pid_filter = 0;

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	pid_t pid = bpf_get_current_pid_tgid() >> 32;

	if (pid != pid_filter)
		return 0;
	bpf_printk("another of %d", pid);
	bpf_printk("last %d %d %d %d", 1, 2, 3, pid);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
