/* Mistakes with pointers. The line below each `fails:` is the one that the verifier has to refuse. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

SEC("?tp/syscalls/sys_enter_openat")
int reads_user_memory(struct trace_event_raw_sys_enter *ctx)
{
	const char *path = (const char *)ctx->args[1];

	/* fails: not-a-pointer */
	if (path[0] == '/')
		return 1;
	return 0;
}

SEC("?raw_tp/sched_process_exit")
int reads_kernel_memory(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];

	/* fails: not-a-pointer */
	return task->pid;
}

SEC("?tp/syscalls/sys_enter_getppid")
int reads_what_was_read(struct trace_event_raw_sys_enter *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task(), *parent;

	bpf_probe_read_kernel(&parent, sizeof(parent), &task->real_parent);
	/* fails: not-a-pointer */
	return parent->tgid;
}

SEC("?tp_btf/sched_process_exit")
int writes_to_kernel(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];

	/* fails: read-only */
	task->exit_code = 0;
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int past_the_context(u64 *ctx)
{
	/* fails: context-access */
	return ctx[1024];
}

SEC("?xdp")
int writes_to_context(struct xdp_md *ctx)
{
	/* fails: context-access */
	ctx->rx_queue_index = 1;
	return XDP_PASS;
}

SEC("?tp/syscalls/sys_enter_getppid")
int variable_in_context(struct trace_event_raw_sys_enter *ctx)
{
	u32 which = bpf_get_prandom_u32() % 6;

	/* fails: context-access */
	return ctx->args[which];
}

SEC("?tp/syscalls/sys_enter_getppid")
int bits_of_a_pointer(struct trace_event_raw_sys_enter *ctx)
{
	char text[16] = {};
	void *aligned = text;

	asm volatile("%0 &= -8" : "+r"(aligned)); /* fails: pointer-arithmetic */
	return *(volatile char *)aligned;
}

SEC("?tp/syscalls/sys_enter_getppid")
int packet_in_tracing(struct xdp_md *ctx)
{
	/* fails: context-access */
	u8 *data = (void *)(long)ctx->data;

	return *data;
}

SEC("?uprobe")
int argument_of_function(struct pt_regs *ctx)
{
	struct iovec *vector = (struct iovec *)ctx->di;

	/* fails: not-a-pointer */
	return vector->iov_len;
}

SEC("?tp_btf/sched_process_exit")
int argument_too_many(u64 *ctx)
{
	/* fails: context-access */
	return ctx[7];
}

char LICENSE[] SEC("license") = "GPL";
