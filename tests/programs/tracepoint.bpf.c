#include "hook.h"

SEC("tp/syscalls/sys_enter_unlinkat")
int hook(void *ctx)
{
	return seen(0);
}
