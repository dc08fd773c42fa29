/* Tasks as records, by one iterator, and as lines, by another. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct row {
	u32 pid;
	u32 tid;
	char comm[16];
};

SEC("iter/task")
int rows(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct row row = {};

	if (!task)
		return 0;
	row.pid = task->tgid;
	row.tid = task->pid;
	bpf_probe_read_kernel_str(row.comm, sizeof(row.comm), task->comm);
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

SEC("iter/task")
int lines(struct bpf_iter__task *ctx)
{
	static const char format[] = "task\t%d of %d\n";
	static const char end[] = "the end";
	struct task_struct *task = ctx->task;
	u64 numbers[2];

	if (!task) {
		bpf_seq_printf(ctx->meta->seq, end, sizeof(end), NULL, 0);
		return 0;
	}
	numbers[0] = task->pid;
	numbers[1] = task->tgid;
	bpf_seq_printf(ctx->meta->seq, format, sizeof(format), numbers, sizeof(numbers));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
