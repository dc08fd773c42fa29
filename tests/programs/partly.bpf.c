/* One program that every kernel attaches, and others that some, or all, do not. */
#include "hook.h"

SEC("tp/syscalls/sys_enter_unlinkat")
int hook(void *ctx)
{
	return seen(0);
}

SEC("?tp/syscalls/sys_enter_unlinkat")
int asked_for(void *ctx)
{
	return seen(1);
}

/* Not every kernel has fentry. */
SEC("fentry/do_unlinkat")
int alone(void *ctx)
{
	return 0;
}

SEC("fentry/no_such_function")
int no_function(void *ctx)
{
	return 0;
}

SEC("tp_btf/no_such_tracepoint")
int no_tracepoint(void *ctx)
{
	return 0;
}

/// @oneof end
SEC("kprobe/no_such_function")
int end_by_function(void *ctx)
{
	return 0;
}

/// @oneof end
SEC("raw_tp/sched_process_exit")
int end(void *ctx)
{
	return 0;
}

/// @oneof end
SEC("tp/sched/sched_process_exit")
int end_by_category(void *ctx)
{
	return 0;
}

/// @optional
SEC("uprobe//proc/self/exe:no_such_function")
int no_symbol(void *ctx)
{
	return 0;
}

/// @optional
SEC("tp/syscalls/sys_enter_unlinkat")
int rejected(void *ctx)
{
	return *(volatile int *)0;
}

SEC("xdp")
int packet(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("uprobe")
int no_binary(void *ctx)
{
	return 0;
}

SEC("freplace/function")
int no_program(void *ctx)
{
	return 0;
}
