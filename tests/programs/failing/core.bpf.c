/* Mistakes with what kernels have or lack. The line below each `fails:` is the one that the verifier has to refuse. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

struct task_struct___old {
	long state_of_old;
} __attribute__((preserve_access_index));

struct removed_from_kernels {
	int count;
} __attribute__((preserve_access_index));

SEC("?tp_btf/sched_process_exit")
int member_missing(u64 *ctx)
{
	struct task_struct___old *task = (void *)bpf_get_current_task();

	/* fails: core-relocation */
	return BPF_CORE_READ(task, state_of_old);
}

SEC("?tp_btf/sched_process_exit")
int type_missing(u64 *ctx)
{
	struct removed_from_kernels *removed = (void *)ctx[0];

	/* fails: core-relocation */
	return BPF_CORE_READ(removed, count);
}

char LICENSE[] SEC("license") = "GPL";
