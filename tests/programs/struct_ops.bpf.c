/* A struct of operations, as before Linux 6.4. */
#include "congestion.h"

SEC(".struct_ops")
struct tcp_congestion_ops written = {
	.init = (void *)begins,
	.ssthresh = (void *)threshold,
	.undo_cwnd = (void *)undone,
	.cong_avoid = (void *)avoids,
	.name = "skep_written",
};
