/* On many functions of the kernel. */
#include "hook.h"

SEC("kprobe.multi/do_unlink*t")
int BPF_KPROBE(hook)
{
	return seen(0);
}
