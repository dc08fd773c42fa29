#include "hook.h"

SEC("uprobe//lib/x86_64-linux-gnu/libc.so.6:unlinkat")
int BPF_KPROBE(hook)
{
	return seen(0);
}
