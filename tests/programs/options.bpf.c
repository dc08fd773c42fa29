/* Sends what its variables hold, for each getppid(2): one variable of every kind that is an option. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

enum occupation { IDLE, BUSY };
enum large { SMALL, HUGE = 0x100000002ULL };

const volatile pid_t target_pid = 0;
const volatile bool filter_by_pid = false;
const volatile uid_t filter_uid = -1;
const volatile bool filter_cg = false;
const volatile u64 cgroup_id = 0;
const volatile int ifindex = 0;
const volatile char targ_comm[16] = "";
/// @cmdarg {"default": 5, "short": "l", "long": "least", "help": "Only what is larger."}
const volatile u16 lowest = 0;
const volatile s8 small = 0;
const volatile char letter = 'a';
const volatile enum occupation mode = IDLE;
const volatile enum large wide = SMALL;
const volatile double ratio = 0.5;
const volatile float part = 0;
const volatile __be32 saddr = 0;
const volatile u8 daddr[16] = {};
/// @format port_be
const volatile u16 peer = 0;
const volatile u64 min_ns = 0;

struct event {
	u32 pid;
	u32 uid_wanted;
	u64 cgroup_wanted;
	u32 interface;
	u16 lowest;
	u16 peer;
	s8 small;
	u8 letter;
	u8 mode;
	bool by_pid;
	u32 source;
	u64 wide;
	double ratio;
	float part;
	u8 destination[16];
	u64 min;
	char wanted[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(u32));
	__uint(max_entries, 1);
} cgroup_map SEC(".maps");

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct event *event;

	if (filter_by_pid && pid != target_pid)
		return 0;
	if (filter_cg && bpf_current_task_under_cgroup(&cgroup_map, 0) != 1)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	event->pid = pid;
	event->uid_wanted = filter_uid;
	event->cgroup_wanted = cgroup_id;
	event->interface = ifindex;
	event->lowest = lowest;
	event->peer = peer;
	event->small = small;
	event->letter = letter;
	event->mode = mode;
	event->by_pid = filter_by_pid;
	event->source = saddr;
	event->wide = wide;
	event->ratio = ratio;
	event->part = part;
	event->min = min_ns;
	for (int i = 0; i < 16; i++) {
		event->destination[i] = daddr[i];
		event->wanted[i] = targ_comm[i];
	}
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
