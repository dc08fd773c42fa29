/* A struct of operations with a link, and a program that is in none. */
#include "congestion.h"

SEC(".struct_ops.link")
struct tcp_congestion_ops linked = {
	.init = (void *)begins,
	.ssthresh = (void *)threshold,
	.undo_cwnd = (void *)undone,
	.cong_avoid = (void *)avoids,
	.name = "skep_linked",
};

SEC("struct_ops/release")
void BPF_PROG(alone, struct sock *socket)
{
}
