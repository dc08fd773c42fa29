/* Mistakes with objects of the kernel and dynptrs. The line below each `fails:` is the one to be refused. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym __weak;
extern struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym __weak;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("?tp_btf/sched_process_exit")
int task_not_tested(u64 *ctx)
{
	struct task_struct *task = bpf_task_from_pid(1);

	/* fails: null-pointer */
	bpf_task_release(task);
	return 0;
}

SEC("?tp_btf/sched_process_exit")
int task_kept(u64 *ctx)
{
	struct task_struct *task = bpf_task_from_pid(1);

	if (!task)
		return 0;
	return task->pid == 1; /* fails: reference-leak */
}

SEC("?tp_btf/sched_process_exit")
int parent_not_trusted(u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];
	/* fails: untrusted-pointer */
	struct task_struct *leader = bpf_task_acquire(task->last_wakee);

	if (leader)
		bpf_task_release(leader);
	return 0;
}

SEC("?tp_btf/sched_process_exit")
int rcu_kept(u64 *ctx)
{
	bpf_rcu_read_lock();
	return 0; /* fails: critical-section */
}

SEC("?tp_btf/sched_process_exit")
int dynptr_not_set(u64 *ctx)
{
	struct bpf_dynptr record;
	u32 value = 1;

	/* fails: dynptr */
	bpf_dynptr_write(&record, 0, &value, sizeof(value), 0);
	return 0;
}

SEC("?tp_btf/sched_process_exit")
int dynptr_kept(u64 *ctx)
{
	struct bpf_dynptr record;

	bpf_ringbuf_reserve_dynptr(&events, 8, 0, &record);
	return 0; /* fails: reference-leak */
}

SEC("?tp_btf/sched_process_exit")
int slice_not_tested(u64 *ctx)
{
	struct bpf_dynptr record;
	u32 *place;

	bpf_ringbuf_reserve_dynptr(&events, 8, 0, &record);
	place = bpf_dynptr_data(&record, 0, 4);
	/* fails: null-pointer */
	*place = 1;
	bpf_ringbuf_submit_dynptr(&record, 0);
	return 0;
}

SEC("?tp_btf/sched_process_exit")
int slice_after_submit(u64 *ctx)
{
	struct bpf_dynptr record;
	u32 *place;

	bpf_ringbuf_reserve_dynptr(&events, 8, 0, &record);
	place = bpf_dynptr_data(&record, 0, 4);
	if (!place) {
		bpf_ringbuf_discard_dynptr(&record, 0);
		return 0;
	}
	bpf_ringbuf_submit_dynptr(&record, 0);
	/* fails: use-after-release */
	*place = 1;
	return 0;
}

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, u64 flags, struct bpf_dynptr *packet) __ksym __weak;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *packet, u64 offset, void *buffer, u64 size) __ksym __weak;

SEC("?tc")
int slice_after_pull(struct __sk_buff *skb)
{
	struct bpf_dynptr packet;
	u8 buffer[14], *place;

	bpf_dynptr_from_skb(skb, 0, &packet);
	place = bpf_dynptr_slice(&packet, 0, buffer, sizeof(buffer));
	if (!place || bpf_skb_pull_data(skb, 60))
		return 0;
	/* fails: stale-packet-pointer */
	return *place;
}

char LICENSE[] SEC("license") = "GPL";
