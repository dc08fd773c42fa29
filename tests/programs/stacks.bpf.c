// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* Each getpgid(2) sends the stack of its caller in all three forms. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

#define DEPTH 32

struct called {
	u32 pid;
	char comm[16];
	s32 user_stack_id;
	s64 ustack_size;
	u64 ustack[DEPTH];
	struct bpf_stack_build_id file_stack[DEPTH];
};

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 1024);
	__type(key, u32);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

SEC("tp/syscalls/sys_enter_getpgid")
int called(void *ctx)
{
	struct called *event;

	if (!skep_in_scope())
		return 0;
	event = skep_reserve(&events, struct called);
	if (!event)
		return 0;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	event->user_stack_id = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	event->ustack_size = bpf_get_stack(ctx, event->ustack, sizeof(event->ustack), BPF_F_USER_STACK);
	__builtin_memset(event->file_stack, 0, sizeof(event->file_stack));
	bpf_get_stack(ctx, event->file_stack, sizeof(event->file_stack), BPF_F_USER_STACK | BPF_F_USER_BUILD_ID);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
