/* Of its two programs one has to be attached, and no kernel has its hook. */
#include "hook.h"

SEC("tp/syscalls/sys_enter_unlinkat")
int hook(void *ctx)
{
	return seen(0);
}

/// @required
SEC("tp/syscalls/sys_enter_nosuchcall")
int other(void *ctx)
{
	return seen(0);
}
