/* No kernel has what it attaches to. */
#include "hook.h"

SEC("tp/syscalls/sys_enter_nosuchcall")
int hook(void *ctx)
{
	return seen(0);
}
