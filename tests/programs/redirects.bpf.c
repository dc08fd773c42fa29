/* Maps of sockets, interfaces and CPUs, looked up and chosen from by programs that are only run as tests. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define MAP(name, kind, key_type, value_type)           \
	struct {                                        \
		__uint(type, BPF_MAP_TYPE_##kind);      \
		__uint(max_entries, 4);                 \
		__type(key, key_type);                  \
		__type(value, value_type);              \
	} name SEC(".maps")

struct peer {
	u32 address;
	u16 port;
	u16 family;
};

MAP(sockmap, SOCKMAP, u32, u64);
MAP(sockhash, SOCKHASH, struct peer, u64);
MAP(narrow_sockmap, SOCKMAP, u32, u32);
MAP(reuseport_sockarray, REUSEPORT_SOCKARRAY, u32, u64);
MAP(devmap, DEVMAP, u32, struct bpf_devmap_val);
MAP(devmap_hash, DEVMAP_HASH, u32, u32);
MAP(cpumap, CPUMAP, u32, u32);
MAP(xskmap, XSKMAP, u32, u32);

/* The ports of the sockets that are there. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
} found SEC(".maps");

static void tell(u32 place, u64 value)
{
	bpf_map_update_elem(&found, &place, &value, BPF_ANY);
}

SEC("tc")
int sockets(struct __sk_buff *packet)
{
	struct peer peer = { .address = 7, .port = 80, .family = 2 };
	struct bpf_sock *socket;
	u32 key = 1;

	socket = bpf_map_lookup_elem(&sockmap, &key);
	if (socket) {
		tell(0, socket->src_port);
		bpf_sk_release(socket);
	}
	socket = bpf_map_lookup_elem(&sockhash, &peer);
	if (socket) {
		tell(1, socket->src_port);
		bpf_sk_release(socket);
	}
	return 0;
}

/* XDP_REDIRECT where there is an entry, XDP_PASS where there is none: the packet of a test goes nowhere. */
SEC("xdp")
int to_devmap(struct xdp_md *packet)
{
	return bpf_redirect_map(&devmap, 1, XDP_PASS);
}

SEC("xdp")
int to_devmap_hash(struct xdp_md *packet)
{
	return bpf_redirect_map(&devmap_hash, 77, XDP_PASS);
}

SEC("xdp")
int to_cpumap(struct xdp_md *packet)
{
	return bpf_redirect_map(&cpumap, 0, XDP_PASS);
}

SEC("xdp")
int to_xskmap(struct xdp_md *packet)
{
	u32 key = 1;

	return bpf_map_lookup_elem(&xskmap, &key) ? XDP_REDIRECT : XDP_PASS;
}

/* Attached by user space to a group of sockets on one port. */
SEC("sk_reuseport")
int chooses(struct sk_reuseport_md *packet)
{
	u32 key = 1;

	return bpf_sk_select_reuseport(packet, &reuseport_sockarray, &key, 0) ? SK_DROP : SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
