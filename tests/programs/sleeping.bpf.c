/* On places in a binary that the user names, in programs that may sleep: only these may wait for the page of an address. */
#include "hook.h"
#include <bpf/usdt.bpf.h>

static int waited_for(struct pt_regs *ctx, int number)
{
	char instruction;

	return bpf_copy_from_user(&instruction, 1, (void *)PT_REGS_IP(ctx)) ? 0 : seen(number);
}

SEC("uprobe.multi.s")
int BPF_KPROBE(many, int number)
{
	return waited_for(ctx, number);
}

SEC("usdt.s")
int BPF_USDT(probe, int number)
{
	return waited_for(ctx, number);
}
