/* On what sockets send, get, and are chosen for. */
#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u64);
} sockets SEC(".maps");

SEC("sk_msg")
int sent(struct sk_msg_md *ctx)
{
	send(0, ctx->size);
	return SK_PASS;
}

SEC("sk_skb/stream_parser")
int whole(struct __sk_buff *ctx)
{
	return ctx->len;
}

SEC("sk_skb/stream_verdict")
int got(struct __sk_buff *ctx)
{
	send(0, ctx->len);
	return SK_PASS;
}

SEC("sk_skb")
int got_too(struct __sk_buff *ctx)
{
	send(0, ctx->len);
	return SK_PASS;
}

SEC("sk_skb/verdict")
int decided(struct __sk_buff *ctx)
{
	send(0, ctx->len);
	return SK_PASS;
}

/* The port is the record's length. */
SEC("sk_lookup")
int chosen(struct bpf_sk_lookup *ctx)
{
	send(ctx->ingress_ifindex, ctx->local_port);
	return SK_PASS;
}

SEC("flow_dissector")
int taken_apart(struct __sk_buff *ctx)
{
	send(0, 1);
	return 129; /* BPF_FLOW_DISSECTOR_CONTINUE */
}
