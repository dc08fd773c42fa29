/* The mistake: no licence that is compatible with the GPL. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

SEC("?tp/syscalls/sys_enter_getppid")
int proprietary(struct trace_event_raw_sys_enter *ctx)
{
	char text[16];

	/* fails: licence */
	bpf_probe_read_user(text, sizeof(text), (void *)ctx->args[0]);
	return 0;
}

char LICENSE[] SEC("license") = "Proprietary";
