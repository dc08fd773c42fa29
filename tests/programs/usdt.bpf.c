/* On a USDT probe that the user names. */
#include "hook.h"
#include <bpf/usdt.bpf.h>

SEC("usdt")
int BPF_USDT(hook, int number)
{
	return seen(number);
}
