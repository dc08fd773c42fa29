/* No hook is called so. */
#include "hook.h"

SEC("tracepiont/syscalls/sys_enter_unlinkat")
int hook(void *ctx)
{
	return seen(0);
}
