/* What a program of BCC's dialect finds, once its words are read: behind vmlinux.h and libbpf's headers. */
#ifndef SKEP_BCC_RUNTIME_H
#define SKEP_BCC_RUNTIME_H

/* An address that is written as a number: clang 16 and later take that for an error. */
#pragma clang diagnostic ignored "-Wint-conversion"

/* As many addresses as BCC keeps of a stack, and as the kernel gives by itself. */
struct bpf_stacktrace {
	u64 ip[127];
};

struct bpf_stacktrace_buildid {
	struct bpf_stack_build_id trace[127];
};

/* Of these the compiler makes instructions. */
void *memcpy(void *to, const void *from, unsigned long length);
void *memmove(void *to, const void *from, unsigned long length);
void *memset(void *to, int value, unsigned long length);
int memcmp(const void *one, const void *other, unsigned long length);

/* Where the processor delivers events anew (FRED), tasks have room for that above their registers. */
extern const void fred_entry_from_user __ksym __weak;

/* What BCC reads for a program: memory of the kernel or of a process, which one is told by the address. */
#define skep_read(type, place) ({ \
	typeof(type) skep_value; \
	__builtin_memset((void *)&skep_value, 0, sizeof(skep_value)); \
	bpf_probe_read((void *)&skep_value, sizeof(skep_value), (const void *)&(place)); \
	skep_value; \
})

/* The place of the highest bit. */
static inline __attribute__((always_inline, unused)) unsigned int bpf_log2(unsigned int v)
{
	unsigned int place = 0;

	for (int step = 16; step; step >>= 1) {
		if (v >> step) {
			v >>= step;
			place += step;
		}
	}
	return place;
}

/* 1 for 0 and 1, 2 for 2 and 3, 3 for 4 to 7 ...: the slots of print_log2_hist(). */
static inline __attribute__((always_inline, unused)) unsigned int bpf_log2l(unsigned long v)
{
	unsigned int high = v >> 32;

	return (high ? bpf_log2(high) + 32 : bpf_log2(v)) + 1;
}

#define BPF_PACKET_HEADER __attribute__((packed, annotate("packet")))

unsigned long long load_byte(void *skb, unsigned long long offset) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long offset) asm("llvm.bpf.load.half");
unsigned long long load_word(void *skb, unsigned long long offset) asm("llvm.bpf.load.word");

/* These become the helpers that mend checksums (skep.bcc.rewriting). */
int incr_cksum_l3(void *place, u64 before, u64 after);
int incr_cksum_l4(void *place, u64 before, u64 after, u64 has_pseudo_header);

/* A number of so many bytes, in the order of the wire. */
static inline __attribute__((always_inline, unused)) u64 skep_on_the_wire(u64 value, unsigned int length)
{
	return length == 2 ? bpf_htons(value) : length == 4 ? bpf_htonl(value) : value;
}

/* A field: so many bits, so many behind the first of a byte; 0 where the packet ends before it. */
static inline __attribute__((always_inline, unused)) u64
skep_packet(struct __sk_buff *skb, u64 offset, unsigned int skipped, unsigned int bits)
{
	unsigned int length = (skipped + bits + 7) / 8;
	u8 bytes[8] = {};
	u64 value = 0;

	bpf_skb_load_bytes(skb, offset, bytes, length);
#pragma unroll
	for (int i = 0; i < 8; i++)
		if (i < length)
			value = value << 8 | bytes[i];
	value >>= length * 8 - skipped - bits;
	return bits == 64 ? value : value & ((1ULL << bits) - 1);
}

/* Writes a field; bits beside it stay as they are, and so does the packet where it ends before the field. */
static inline __attribute__((always_inline, unused)) void
skep_store_packet(struct __sk_buff *skb, u64 offset, unsigned int skipped, unsigned int bits, u64 value)
{
	unsigned int length = (skipped + bits + 7) / 8, behind = length * 8 - skipped - bits;
	u64 mask = (bits == 64 ? ~0ULL : (1ULL << bits) - 1) << behind;
	u64 whole = skep_packet(skb, offset, 0, length * 8);
	u8 bytes[8] = {};

	whole = (whole & ~mask) | (value << behind & mask);
#pragma unroll
	for (int i = 0; i < 8; i++)
		if (i < length)
			bytes[i] = whole >> (length - 1 - i) * 8;
	bpf_skb_store_bytes(skb, offset, bytes, length, 0);
}

#endif
