/* Sends a record for each getppid(2) of the command: what a tool that times something sends. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

enum kind { DISK_READ, DISK_WRITE, DISK_SYNC };

struct timed {
	__u64 time;
	__u32 pid;
	__u32 tid;
	char comm[16];
	enum kind kind;
	__s32 ret;
	__u64 latency_ns;
	__u64 bytes;
	__s32 user_stack;
};

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 1024);
	__type(key, __u32);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} events SEC(".maps");

__u32 number = 0;

SEC("tp/syscalls/sys_enter_getppid")
int send(void *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct timed *timed;
	__u32 turn;

	if (!skep_in_scope())
		return 0;
	timed = skep_reserve(&events, struct timed);
	if (!timed)
		return 0;
	turn = number++;
	timed->time = bpf_ktime_get_ns();
	timed->pid = id >> 32;
	timed->tid = id;
	/* Values that repeat, as those of real programs do; latencies of all magnitudes. */
	__builtin_memcpy(timed->comm, "worker-0", 9);
	timed->comm[7] += turn & 7;
	timed->kind = turn % 3;
	timed->ret = turn & 7 ? 4096 : -11;
	timed->latency_ns = (__u64)(turn * 2654435761u) >> (turn & 15);
	timed->bytes = 4096;
	timed->user_stack = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	bpf_ringbuf_submit(timed, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
