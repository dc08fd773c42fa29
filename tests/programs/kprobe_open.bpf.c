/* On a function of the kernel that the user names. */
#include "hook.h"

SEC("kprobe/dummy_kprobe")
int BPF_KPROBE(hook, int number)
{
	return seen(0);
}
