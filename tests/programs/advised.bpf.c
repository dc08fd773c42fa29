/* Mistakes of which it counts what is suggested: `fails: CATEGORY: WORDS` says what the suggestion has to hold. */
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct event {
	u32 pid;
	u32 length;
	char comm[16];
	char path[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct event);
} heap SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u64);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
} output SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 16);
	__uint(key_size, 4);
	__uint(value_size, 127 * 8);
} stacks SEC(".maps");

struct timed {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct timed);
} timers SEC(".maps");

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, u64 flags, struct bpf_dynptr *ptr) __ksym __weak;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, u32 offset, void *buffer, u32 buffer__szk) __ksym __weak;

u64 slots[32];
char names[8][16];

SEC("?xdp")
int compared_the_wrong_way(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if (data + sizeof(*eth) < data_end)
		return XDP_PASS;
	/* fails: packet-bounds: if ((void *)(eth + 1) > data_end) */
	return eth->h_proto ? XDP_DROP : XDP_PASS;
}

SEC("?xdp")
int two_bytes(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct tcphdr *tcp = data + 34;
	u8 *payload;

	if ((void *)(tcp + 1) > data_end)
		return XDP_PASS;
	payload = (u8 *)tcp + tcp->doff * 4;
	/* fails: packet-bounds: if ((void *)(payload + 2) > data_end) */
	return payload[0] == 'G' && payload[1] == 'E' ? XDP_DROP : XDP_PASS;
}

SEC("?xdp")
int copied_in_a_loop(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	u32 length = data_end - data;
	u8 copy[64] = {};

	for (u32 i = 0; i < length && i < 64; i++)
		/* fails: packet-bounds: (&((u8 *)data)[i] + 1) > data_end */
		copy[i] = ((u8 *)data)[i];
	bpf_ringbuf_output(&events, copy, sizeof(copy), 0);
	return XDP_PASS;
}

SEC("?xdp")
int cast_where_read(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	u64 place = 12;

	if (data + place > data_end)
		return XDP_PASS;
	/* fails: packet-bounds: (void *)(data + place) + sizeof(u16) > data_end */
	return *(u16 *)(data + place) ? XDP_DROP : XDP_PASS;
}

SEC("?xdp")
int copied_at_once(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return XDP_PASS;
	/* fails: packet-bounds: if ((void *)data + 60 > data_end) */
	__builtin_memcpy(event->path, data, 60);
	event->length = data_end - data;
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}

SEC("?xdp")
int from_the_end(struct xdp_md *ctx)
{
	u8 *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;

	if (data + 1 > data_end)
		return XDP_PASS;
	/* fails: packet-bounds: Count from the beginning */
	return *(data_end - 1) ? XDP_DROP : XDP_PASS;
}

SEC("?xdp")
int all_of_the_packet(struct xdp_md *ctx)
{
	u8 *place = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	u32 sum = 0;

	while (place + 1 <= data_end)
		/* fails: packet-bounds: for (int i = 0; i < 1500; i++) */
		sum += *place++;
	return sum & 1 ? XDP_DROP : XDP_PASS;
}

SEC("?xdp")
int before_the_packet(struct xdp_md *ctx)
{
	u32 *mark = (void *)(long)ctx->data_meta;
	void *data = (void *)(long)ctx->data;

	/* fails: packet-bounds: if ((void *)(mark + 1) > data) */
	return *mark ? XDP_DROP : data ? XDP_PASS : XDP_ABORTED;
}

SEC("?xdp")
int counted_in_the_packet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	u64 *count = data;

	if ((void *)(count + 1) > data_end)
		return XDP_PASS;
	/* fails: read-only: as an ordinary variable */
	__sync_fetch_and_add(count, 1);
	return XDP_PASS;
}

SEC("?tc")
int packet_to_perf(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;

	/* fails: packet-bounds: (__u64)length << 32 */
	bpf_perf_event_output(skb, &output, BPF_F_CURRENT_CPU, data, 64);
	return 0;
}

SEC("?tc")
int scratch_indexed(struct __sk_buff *skb)
{
	/* fails: context-access: by a constant */
	return skb->cb[skb->mark & 3];
}

SEC("?tc")
int slice_written(struct __sk_buff *skb)
{
	struct bpf_dynptr packet;
	struct ethhdr *eth;
	u8 copy[14];

	bpf_dynptr_from_skb(skb, 0, &packet);
	eth = bpf_dynptr_slice(&packet, 0, copy, sizeof(copy));
	if (!eth)
		return 0;
	/* fails: read-only: bpf_dynptr_slice_rdwr() */
	eth->h_proto = 8;
	return 0;
}

SEC("?tc")
int no_table_of_programs(struct __sk_buff *skb)
{
	/* fails: map-mismatch: BPF_MAP_TYPE_PROG_ARRAY */
	bpf_tail_call(skb, &counts, 0);
	return 0;
}

SEC("?tc")
int timer_on_the_stack(struct __sk_buff *skb)
{
	struct bpf_timer timer = {};

	/* fails: argument-type: &value->member */
	bpf_timer_init(&timer, &timers, 1);
	return 0;
}

SEC("?tc")
int dynptr_on_the_stack(struct __sk_buff *skb)
{
	struct bpf_dynptr bytes;
	char text[16] = {};

	/* fails: dynptr: static char */
	bpf_dynptr_from_mem(text, sizeof(text), 0, &bytes);
	return 0;
}

static int each(u32 round, void *sum)
{
	/* fails: callback: 0 goes on, and 1 stops */
	return 7;
}

SEC("?tc")
int called_back(struct __sk_buff *skb)
{
	bpf_loop(4, each, 0, 0);
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int member_submitted(void *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return 0;
	/* fails: reference-release: event itself */
	bpf_ringbuf_submit(&event->comm, 0);
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int ring_to_perf(void *ctx)
{
	u32 one = 1;

	/* fails: map-mismatch: bpf_ringbuf_output() */
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &one, sizeof(one));
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int stack_looked_up(void *ctx)
{
	u32 id = bpf_get_stackid(ctx, &stacks, 0);
	/* fails: map-mismatch: bpf_get_stack() */
	u64 *addresses = bpf_map_lookup_elem(&stacks, &id);

	return addresses ? addresses[0] : 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int format_on_the_stack(struct trace_event_raw_sys_enter *ctx)
{
	char format[8] = "%d", text[16];
	u64 argument = ctx->id;

	/* fails: argument-type: static const char format[] */
	bpf_snprintf(text, sizeof(text), format, &argument, sizeof(argument));
	return text[0];
}

SEC("?tp/syscalls/sys_enter_getppid")
int global_indexed(struct trace_event_raw_sys_enter *ctx)
{
	u64 slot = ctx->args[0];

	/* fails: map-value-bounds: if (slot >= sizeof(slots) / sizeof(slots[0])) */
	slots[slot]++;
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int rows_indexed(struct trace_event_raw_sys_enter *ctx)
{
	u32 row = ctx->args[0];

	if (row < 40)
		/* fails: map-value-bounds: if (row >= sizeof(names) / sizeof(names[0])) */
		bpf_get_current_comm(names[row], 16);
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int logarithm(struct trace_event_raw_sys_enter *ctx)
{
	u64 value = ctx->args[0];
	u32 slot = 0;

	while (value >>= 1)
		slot++;
	/* fails: map-value-bounds: if (slot + 8 >= sizeof(slots) / sizeof(slots[0])) */
	return slots[slot + 8]++;
}

SEC("?tp/syscalls/sys_enter_execve")
int appended(struct trace_event_raw_sys_enter *ctx)
{
	u32 key = 0;
	struct event *event = bpf_map_lookup_elem(&heap, &key);

	if (!event)
		return 0;
	/* fails: map-value-bounds: if (event->length > sizeof(event->path) - 64) */
	bpf_probe_read_user_str(&event->path[event->length], 64, (void *)ctx->args[0]);
	return 0;
}

SEC("?tp/syscalls/sys_enter_openat")
int length_of_error(struct trace_event_raw_sys_enter *ctx)
{
	u32 key = 0;
	struct event *event = bpf_map_lookup_elem(&heap, &key);
	int length;

	if (!event)
		return 0;
	length = bpf_probe_read_user_str(event->path, sizeof(event->path), (void *)ctx->args[1]);
	/* fails: size-argument: if (length < 0 || length > 280) */
	bpf_ringbuf_output(&events, event, length, 0);
	return 0;
}

SEC("?tp/syscalls/sys_enter_openat")
int sum_of_masks(struct trace_event_raw_sys_enter *ctx)
{
	u32 key = 0, place = bpf_get_prandom_u32() & 255;
	char *bytes = bpf_map_lookup_elem(&heap, &key);

	if (!bytes)
		return 0;
	/* fails: map-value-bounds: bound both so that the sum fits */
	bpf_probe_read_user(&bytes[place], ctx->args[2] & 255, (void *)ctx->args[1]);
	return 0;
}

SEC("?tp/syscalls/sys_enter_openat")
int mask_too_wide(struct trace_event_raw_sys_enter *ctx)
{
	u64 length = ctx->args[2] & 0x1ff;
	u32 key = 0;
	struct event *event = bpf_map_lookup_elem(&heap, &key);

	if (!event)
		return 0;
	/* fails: map-value-bounds: if (length > 280) */
	bpf_probe_read_user(event, length, (void *)ctx->args[1]);
	return 0;
}

SEC("?tp/syscalls/sys_enter_getppid")
int rounds_vary(struct trace_event_raw_sys_enter *ctx)
{
	u64 rounds = ctx->args[0], sum = 0;

	/* fails: complexity: bpf_loop() */
	for (u64 round = 0; round < rounds; round++)
		sum += bpf_get_prandom_u32();
	return sum;
}

SEC("?tp/syscalls/sys_enter_getppid")
int pointers_of_user_space(struct trace_event_raw_sys_enter *ctx)
{
	struct iovec vector;

	bpf_probe_read_user(&vector, sizeof(vector), (void *)ctx->args[1]);
	/* fails: not-a-pointer: bpf_probe_read_user(&value */
	return *(volatile u8 *)vector.iov_base;
}

SEC("?tp_btf/sched_switch")
int letter_of_a_name(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[1];
	u32 place = bpf_get_prandom_u32();

	/* fails: kernel-struct-access: &task->comm[place] */
	return task->comm[place];
}

u32 numbers[2];

SEC("?tp_btf/sched_process_exit")
int slice_of_set_anew(u64 *ctx)
{
	struct bpf_dynptr all;
	u32 *place;

	bpf_dynptr_from_mem(numbers, sizeof(numbers), 0, &all);
	place = bpf_dynptr_data(&all, 0, 4);
	if (!place)
		return 0;
	bpf_dynptr_from_mem(numbers, 4, 0, &all);
	/* fails: use-after-release: before the dynptr is written */
	return *place & 1;
}

char LICENSE[] SEC("license") = "GPL";
