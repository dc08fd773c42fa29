// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* opensnoop: every file that is opened, by whom, and what came of it. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

#define NAME_SIZE 256
#define TEXT_SIZE 32

/// Only this process (0: all).
const volatile pid_t pid_target = 0;
/// Only this user (4294967295: all).
const volatile uid_t uid_target = -1;
/// Only opens that failed.
const volatile bool failed_only = false;
/// Only opens that succeeded.
const volatile bool successful_only = false;
/// Only files whose name contains this text.
const volatile char name_contains[TEXT_SIZE] = "";

struct event {
	u64 time;
	u32 pid;
	u32 tid;
	char comm[16];
	s32 ret; /* file descriptor, or negative errno */
	u32 open_flags;
	char filename[NAME_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);
} events SEC(".maps");

/* What a thread asked for, from the entry of its open to the exit. One thread has one system call at a time. */
struct open_request {
	const char *filename;
	u64 flags;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, struct open_request);
} requests SEC(".maps");

static int enter(const char *filename, u64 flags)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, pid = id >> 32;
	struct open_request request = { .filename = filename, .flags = flags };

	if (!skep_in_scope() || (pid_target && pid != pid_target))
		return 0;
	if (uid_target != (uid_t)-1 && (uid_t)bpf_get_current_uid_gid() != uid_target)
		return 0;
	if (bpf_map_update_elem(&requests, &tid, &request, BPF_ANY))
		skep_lost();
	return 0;
}

/* Does the text stand in name at this place? */
static __noinline bool stands_at(const char name[NAME_SIZE], u32 place)
{
	for (u32 i = 0; i < TEXT_SIZE; i++) {
		if (!name_contains[i])
			return true;
		if (name[(place + i) & (NAME_SIZE - 1)] != name_contains[i])
			return false;
	}
	return true;
}

static bool contains(const char name[NAME_SIZE])
{
	for (u32 place = 0; place < NAME_SIZE && name[place]; place++)
		if (stands_at(name, place))
			return true;
	return false;
}

static int leave(long ret)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id;
	struct open_request *request = bpf_map_lookup_elem(&requests, &tid);
	struct event *event;

	if (!request)
		return 0;
	if ((failed_only && ret >= 0) || (successful_only && ret < 0))
		goto done;
	event = skep_reserve(&events, struct event);
	if (!event)
		goto done;
	event->time = bpf_ktime_get_ns();
	event->pid = id >> 32;
	event->tid = tid;
	event->ret = ret;
	event->open_flags = request->flags;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	/* Read now and not at entry: by now the kernel has read the name itself, so its page is in memory. */
	if (bpf_probe_read_user_str(event->filename, sizeof(event->filename), request->filename) < 0)
		event->filename[0] = 0;
	if (name_contains[0] && !contains(event->filename))
		bpf_ringbuf_discard(event, 0);
	else
		bpf_ringbuf_submit(event, 0);
done:
	bpf_map_delete_elem(&requests, &tid);
	return 0;
}

/* open(2) does not exist on arm64: there these two have nothing to attach to, and are left out. */
SEC("tp/syscalls/sys_enter_open")
int enter_open(struct skep_sys_enter *ctx)
{
	return enter((const char *)ctx->args[0], ctx->args[1]);
}

SEC("tp/syscalls/sys_exit_open")
int exit_open(struct skep_sys_exit *ctx)
{
	return leave(ctx->ret);
}

SEC("tp/syscalls/sys_enter_openat")
int enter_openat(struct skep_sys_enter *ctx)
{
	return enter((const char *)ctx->args[1], ctx->args[2]);
}

SEC("tp/syscalls/sys_exit_openat")
int exit_openat(struct skep_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/* openat2(2) takes its flags in a struct of user space, the first member of struct open_how. */
SEC("tp/syscalls/sys_enter_openat2")
int enter_openat2(struct skep_sys_enter *ctx)
{
	u64 flags = 0;

	bpf_probe_read_user(&flags, sizeof(flags), (const void *)ctx->args[2]);
	return enter((const char *)ctx->args[1], flags);
}

SEC("tp/syscalls/sys_exit_openat2")
int exit_openat2(struct skep_sys_exit *ctx)
{
	return leave(ctx->ret);
}

/// Shows every file that is opened: by whom, how, and what came of it.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
