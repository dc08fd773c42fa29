#include "hook.h"

SEC("uretprobe//lib/x86_64-linux-gnu/libc.so.6:unlinkat")
int BPF_KRETPROBE(hook, int ret)
{
	return seen(ret);
}
