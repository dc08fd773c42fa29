/* Structs of operations of both sections: libbpf before 1.3 reads those of one. */
#include "congestion.h"

SEC(".struct_ops")
struct tcp_congestion_ops written = {
	.init = (void *)begins,
	.ssthresh = (void *)threshold,
	.undo_cwnd = (void *)undone,
	.cong_avoid = (void *)avoids,
	.name = "skep_written",
};

SEC("struct_ops/init")
void BPF_PROG(begins_too, struct sock *socket)
{
}

SEC(".struct_ops.link")
struct tcp_congestion_ops linked = {
	.init = (void *)begins_too,
	.ssthresh = (void *)threshold,
	.undo_cwnd = (void *)undone,
	.cong_avoid = (void *)avoids,
	.name = "skep_linked",
};
