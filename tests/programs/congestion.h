/* What the programs of test_struct_ops.py share: a congestion control of TCP that tells of each connection. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

struct connection {
	u16 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} connections SEC(".maps");

SEC("struct_ops/init")
void BPF_PROG(begins, struct sock *socket)
{
	struct connection *connection = skep_reserve(&connections, struct connection);

	if (!connection)
		return;
	connection->port = socket->__sk_common.skc_num;
	bpf_ringbuf_submit(connection, 0);
}

SEC("struct_ops/ssthresh")
u32 BPF_PROG(threshold, struct sock *socket)
{
	return 2;
}

SEC("struct_ops/undo_cwnd")
u32 BPF_PROG(undone, struct sock *socket)
{
	return 2;
}

SEC("struct_ops/cong_avoid")
void BPF_PROG(avoids, struct sock *socket, u32 acknowledged, u32 count)
{
}

char LICENSE[] SEC("license") = "GPL";
