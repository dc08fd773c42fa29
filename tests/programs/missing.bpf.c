/* Of its two tracepoints no kernel has the second. */
#include "hook.h"

SEC("tp/syscalls/sys_enter_unlinkat")
int hook(void *ctx)
{
	return seen(0);
}

SEC("tp/syscalls/sys_enter_nosuchcall")
int other(void *ctx)
{
	return seen(0);
}
