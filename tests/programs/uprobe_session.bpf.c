/* On the entries and returns of functions of a binary that the user names. */
#include "hook.h"

SEC("uprobe.session")
int BPF_KPROBE(hook, int number)
{
	return seen(number);
}
