// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* lsmconnect: every connection that the processes named ask for; and none of them reaches one address. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

/* include/linux/socket.h and include/uapi/asm-generic/errno-base.h: macros, which BTF does not have. */
#define AF_INET 2
#define AF_INET6 10
#define EPERM 1

/// Refuses connections to this address, of IPv4 or IPv6.
/// @format ip
const volatile u8 blockme[16] = {};

/* Slot 0 holds the cgroup whose tasks are meant, if --cgroup PATH names one. */
/// @required
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} cgroups SEC(".maps");

struct event {
	u64 time;
	u32 pid;
	char comm[16];
	u32 family;
	u8 daddr[16];
	u16 dport;
	s32 ret;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* A verdict is for those who were named, by `-- COMMAND`, -p PID or --cgroup PATH. Where nobody was, nobody is meant. */
static bool is_meant(void)
{
	return (skep_scoped && skep_in_scope()) || bpf_current_task_under_cgroup(&cgroups, 0) == 1;
}

static bool is_blocked(const struct event *event)
{
	bool named = false, same = true;

	for (int place = 0; place < sizeof(blockme); place++) {
		named |= blockme[place];
		same &= blockme[place] == event->daddr[place];
	}
	return named && same;
}

static void send(const struct event *event)
{
	struct event *sent = skep_reserve(&events, struct event);

	if (!sent)
		return;
	*sent = *event;
	bpf_ringbuf_submit(sent, 0);
}

/* An IPv6 socket reaches IPv4, too, by ::ffff:10.0.0.1: that is 10.0.0.1, and blocked as such. */
static void read_address(struct event *event, struct in6_addr address)
{
	const u32 *words = address.in6_u.u6_addr32;

	if (!words[0] && !words[1] && words[2] == bpf_htonl(0xFFFF)) {
		event->family = AF_INET;
		*(u32 *)event->daddr = words[3];
	} else {
		*(struct in6_addr *)event->daddr = address;
	}
}

SEC("lsm/socket_connect")
int BPF_PROG(connects, struct socket *socket, struct sockaddr *address, int length, int ret)
{
	struct event event = {};

	/* Others are not our business; nor is what another security module has refused already. */
	if (!is_meant() || ret)
		return ret;
	event.family = BPF_CORE_READ(address, sa_family);
	if (event.family == AF_INET && length >= sizeof(struct sockaddr_in)) {
		struct sockaddr_in *known = (struct sockaddr_in *)address;

		event.dport = bpf_ntohs(BPF_CORE_READ(known, sin_port));
		*(__be32 *)event.daddr = BPF_CORE_READ(known, sin_addr.s_addr);
	} else if (event.family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
		struct sockaddr_in6 *known = (struct sockaddr_in6 *)address;

		event.dport = bpf_ntohs(BPF_CORE_READ(known, sin6_port));
		read_address(&event, BPF_CORE_READ(known, sin6_addr));
	} else {
		return ret;
	}
	event.time = bpf_ktime_get_ns();
	event.pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(event.comm, sizeof(event.comm));
	/* Two ends, each with its constant: the verifier has to see that nothing else is returned. */
	if (is_blocked(&event)) {
		event.ret = -EPERM;
		send(&event);
		return -EPERM;
	}
	send(&event);
	return 0;
}

/// Shows the connections that the processes named ask for, and refuses those to one address.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
