#include "hook.h"

SEC("ksyscall/unlinkat")
int BPF_KSYSCALL(hook, int dfd)
{
	return seen(0);
}
