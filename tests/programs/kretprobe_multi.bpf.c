/* On the returns of many functions of the kernel. */
#include "hook.h"

SEC("kretprobe.multi/do_unlink*t")
int BPF_KRETPROBE(hook, int result)
{
	return seen(result);
}
