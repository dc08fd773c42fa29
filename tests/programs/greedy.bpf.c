// Programs that read more than their tracepoints have.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

// swapoff(2) has one argument.
SEC("tp/syscalls/sys_enter_swapoff")
int fields(struct trace_event_raw_sys_enter *context)
{
	bpf_printk("%lx", context->args[1]);
	return 0;
}

// sys_exit has two arguments.
SEC("raw_tp/sys_exit")
int arguments(struct bpf_raw_tracepoint_args *context)
{
	bpf_printk("%lx", context->args[2]);
	return 0;
}
