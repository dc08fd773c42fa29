/* Reads a member that no kernel has. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct task_struct___ours {
	int member_of_nobody;
} __attribute__((preserve_access_index));

SEC("raw_tp/sched_process_exit")
int reads(void *ctx)
{
	struct task_struct___ours *task = (void *)bpf_get_current_task();
	int value = 0;

	bpf_core_read(&value, sizeof(value), &task->member_of_nobody);
	return value;
}

char LICENSE[] SEC("license") = "GPL";
