/* On many functions of a binary that the user names. */
#include "hook.h"

SEC("uprobe.multi")
int BPF_KPROBE(hook, int number)
{
	return seen(number);
}
