/* Its only program has to be told where to go. */
#include "hook.h"

SEC("xdp")
int packet(struct xdp_md *ctx)
{
	return XDP_PASS;
}
