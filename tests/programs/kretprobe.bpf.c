#include "hook.h"

SEC("kretprobe/do_unlinkat")
int BPF_KRETPROBE(hook, int ret)
{
	return seen(ret);
}
