/* On the return of a function that the user names. */
#include "hook.h"

SEC("uretprobe")
int BPF_KRETPROBE(hook, int number)
{
	return seen(number);
}
