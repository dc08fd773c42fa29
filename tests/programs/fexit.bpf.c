#include "hook.h"

SEC("fexit/do_unlinkat")
int BPF_PROG(hook, int dfd, struct filename *name, int ret)
{
	return seen(ret);
}
