/* On a place in a binary that the user names: says what the first argument is. */
#include "hook.h"

SEC("uprobe")
int BPF_KPROBE(hook, int number)
{
	return seen(number);
}
