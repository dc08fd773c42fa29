/* Iterators of other kinds, each of which says what it found in one line. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define LINE(format, ...)                                                                    \
	({                                                                                   \
		static const char text[] = format "\n";                                      \
		u64 numbers[] = { __VA_ARGS__ };                                             \
		bpf_seq_printf(ctx->meta->seq, text, sizeof(text), numbers, sizeof(numbers)); \
	})

/* What the test has made: a socket on this port, a cgroup of this number. */
const volatile u16 local = 0;
const volatile u64 group = 0;
const volatile pid_t owner = 0;

SEC("iter/task_file")
int files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	if (task && file && task->tgid == owner)
		LINE("%d has %d", task->tgid, ctx->fd);
	return 0;
}

SEC("iter/tcp")
int sockets(struct bpf_iter__tcp *ctx)
{
	struct sock_common *socket = ctx->sk_common;

	if (socket && socket->skc_num == local)
		LINE("port %d", socket->skc_num);
	return 0;
}

SEC("iter/udp")
int datagrams(struct bpf_iter__udp *ctx)
{
	struct udp_sock *socket = ctx->udp_sk;

	if (socket && socket->inet.sk.__sk_common.skc_num == local)
		LINE("port %d", socket->inet.sk.__sk_common.skc_num);
	return 0;
}

SEC("iter/bpf_map")
int maps(struct bpf_iter__bpf_map *ctx)
{
	struct bpf_map *map = ctx->map;

	/* Only the first of the machine: whose it is does not matter. */
	if (map && ctx->meta->seq_num == 0)
		LINE("map %d", map->id);
	return 0;
}

SEC("iter/bpf_prog")
int programs(struct bpf_iter__bpf_prog *ctx)
{
	struct bpf_prog *program = ctx->prog;

	if (program && ctx->meta->seq_num == 0)
		LINE("program %d", program->aux->id);
	return 0;
}

SEC("iter/cgroup")
int cgroups(struct bpf_iter__cgroup *ctx)
{
	struct cgroup *cgroup = ctx->cgroup;

	if (cgroup && cgroup->kn->id == group)
		LINE("cgroup %d", cgroup->kn->id);
	return 0;
}

SEC("iter/ksym")
int symbols(struct bpf_iter__ksym *ctx)
{
	if (ctx->ksym && ctx->meta->seq_num == 0)
		LINE("a symbol", 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
