/* Mistakes with the stack. The line below each `fails:` is the one that the verifier has to refuse. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

SEC("?tp/syscalls/sys_enter_getppid")
int register_not_set(struct trace_event_raw_sys_enter *ctx)
{
	long value;

	asm volatile("%0 = r5" : "=r"(value)); /* fails: uninitialised-register */
	return value;
}

SEC("?tp/syscalls/sys_enter_getppid")
int index_not_bounded(struct trace_event_raw_sys_enter *ctx)
{
	char text[32] = "0123456789";
	u64 place = ctx->args[0];

	/* fails: stack-bounds */
	return *(volatile char *)&text[place];
}

SEC("?tp/syscalls/sys_enter_getppid")
int copied_too_much(struct trace_event_raw_sys_enter *ctx)
{
	char name[16];

	/* fails: stack-bounds */
	bpf_probe_read_user(name, 64, (void *)ctx->args[0]);
	return name[0];
}

static __noinline int inner(struct __sk_buff *skb)
{
	char text[400];

	bpf_skb_load_bytes(skb, 0, text, sizeof(text));
	return text[5];
}

SEC("?tc")
int too_large_together(struct __sk_buff *skb)
{
	char text[400];

	bpf_skb_load_bytes(skb, 0, text, sizeof(text));
	return text[3] + inner(skb); /* fails: stack-size */
}

struct by_inode {
	u32 pid;
	char comm[16];
	u64 inode;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct by_inode);
	__type(value, u64);
} inodes SEC(".maps");

SEC("?tp/syscalls/sys_enter_getppid")
int key_too_short(struct trace_event_raw_sys_enter *ctx)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	/* fails: stack-bounds */
	u64 *seen = bpf_map_lookup_elem(&inodes, &pid);

	return seen && *seen;
}

char LICENSE[] SEC("license") = "GPL";
