#include "hook.h"

SEC("kprobe/do_unlinkat")
int BPF_KPROBE(hook, int dfd)
{
	return seen(0);
}
