#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

#define EPERM 1

struct event {
	u32 pid;
	char comm[16];
	s32 ret;
	char name[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/* Slot 0 holds the cgroup that --cgroup names. While it is empty, nobody is meant. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} cgroups SEC(".maps");

SEC("lsm/path_unlink")
int BPF_PROG(removes, const struct path *folder, struct dentry *entry, int ret)
{
	struct event *event;

	/* First of all: others are not our business. And what is refused already stays so. */
	if (bpf_current_task_under_cgroup(&cgroups, 0) != 1 || ret)
		return ret;
	event = skep_reserve(&events, struct event);
	if (event) {
		event->pid = bpf_get_current_pid_tgid() >> 32;
		event->ret = -EPERM;
		bpf_get_current_comm(event->comm, sizeof(event->comm));
		bpf_probe_read_kernel_str(event->name, sizeof(event->name), BPF_CORE_READ(entry, d_name.name));
		bpf_ringbuf_submit(event, 0);
	}
	return -EPERM;
}

char LICENSE[] SEC("license") = "GPL";
