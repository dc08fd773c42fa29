/* What libbpf's headers have since 1.2: loops that the verifier walks once, bit fields that are written, casts. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct event {
	u32 sum;
	u32 repeated;
	u32 pid;
	u8 tcp[20];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

const volatile pid_t pid_filter = 0;

SEC("raw_tp/sys_enter")
int BPF_PROG(entered, struct pt_regs *registers, long number)
{
	struct event event = {};
	struct tcphdr tcp = {};
	int outer, inner, *next;

	if (bpf_get_current_pid_tgid() >> 32 != pid_filter)
		return 0;
	bpf_for(outer, 0, 10)
		bpf_for(inner, outer, 10)
			event.sum += inner;
	bpf_for_each(num, next, 1, 4)
		event.sum += *next * 1000;
	bpf_repeat(100) {
		if (event.repeated == 7)
			break;
		event.repeated++;
	}
	if (bpf_ksym_exists(bpf_rdonly_cast))
		event.pid = bpf_core_cast((void *)bpf_get_current_task(), struct task_struct)->tgid;
	tcp.window = 0xffff;
	BPF_CORE_WRITE_BITFIELD(&tcp, doff, 9);
	BPF_CORE_WRITE_BITFIELD(&tcp, syn, 1);
	BPF_CORE_WRITE_BITFIELD(&tcp, fin, 1);
	BPF_CORE_WRITE_BITFIELD(&tcp, fin, 0);
	__builtin_memcpy(event.tcp, &tcp, sizeof(event.tcp));
	bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
