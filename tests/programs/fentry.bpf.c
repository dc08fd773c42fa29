#include "hook.h"

SEC("fentry/do_unlinkat")
int BPF_PROG(hook, int dfd, struct filename *name)
{
	return seen(0);
}
