/* The kinds of storage that 6.1 lacks, or whose programs are hooks of LSM. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct {
	__uint(type, BPF_MAP_TYPE_CGRP_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u64);
} cgrp_storage SEC(".maps");

SEC("tp_btf/sys_enter")
int BPF_PROG(cgroups, struct pt_regs *regs, long number)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 *value = bpf_cgrp_storage_get(&cgrp_storage, task->cgroups->dfl_cgrp, 0, 0);

	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
