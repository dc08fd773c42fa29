/* On the entry and the return of functions of the kernel: the program runs twice a call. */
#include "hook.h"

SEC("kprobe.session/do_unlinkat")
int BPF_KPROBE(hook)
{
	return seen(0);
}
