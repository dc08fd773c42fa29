/* A security module's hook, for the tasks of one cgroup. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

struct bound {
	u32 pid;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} bounds SEC(".maps");

SEC("lsm_cgroup/socket_bind")
int BPF_PROG(binding, struct socket *sock, struct sockaddr *address, int length)
{
	struct bound *bound = skep_reserve(&bounds, struct bound);

	if (bound) {
		bound->pid = bpf_get_current_pid_tgid() >> 32;
		bpf_ringbuf_submit(bound, 0);
	}
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
