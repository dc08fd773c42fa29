/* Values that live in what they belong to: user space gives them, and the programs add to them. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define LOCAL(name, kind)                               \
	struct {                                        \
		__uint(type, BPF_MAP_TYPE_##kind);      \
		__uint(map_flags, BPF_F_NO_PREALLOC);   \
		__type(key, int);                       \
		__type(value, u64);                     \
	} name SEC(".maps")

LOCAL(task_storage, TASK_STORAGE);
LOCAL(sk_storage, SK_STORAGE);

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, u64);
} cgroup_storage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, u64);
} percpu_cgroup_storage SEC(".maps");

SEC("tp_btf/sys_enter")
int BPF_PROG(tasks, struct pt_regs *regs, long number)
{
	u64 *value = bpf_task_storage_get(&task_storage, bpf_get_current_task_btf(), 0, 0);

	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

/* Every socket that a task of the cgroup makes. */
SEC("cgroup/sock_create")
int sockets(struct bpf_sock *ctx)
{
	u64 *value = bpf_sk_storage_get(&sk_storage, ctx, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (value)
		*value = 70;
	value = bpf_get_local_storage(&cgroup_storage, 0);
	__sync_fetch_and_add(value, 1);
	value = bpf_get_local_storage(&percpu_cgroup_storage, 0);
	*value += 1;
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
