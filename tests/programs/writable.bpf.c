/* A tracepoint that may be written to: the one behind a test run, which says what of it the caller is told. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

const volatile pid_t pid_filter = 0;

SEC("raw_tp.w/bpf_test_finish")
int change(struct bpf_raw_tracepoint_args *ctx)
{
	int *error = (int *)ctx->args[0];

	if (bpf_get_current_pid_tgid() >> 32 == pid_filter)
		*error = -71; /* EPROTO */
	return 0;
}

SEC("xdp")
int run(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
