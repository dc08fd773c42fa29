/* What a program of BCC's dialect finds, once its words are read: behind vmlinux.h and libbpf's headers. */
#ifndef SKEP_BCC_RUNTIME_H
#define SKEP_BCC_RUNTIME_H

/* As many addresses as BCC keeps of a stack, and as the kernel gives by itself. */
struct bpf_stacktrace {
	u64 ip[127];
};

struct bpf_stacktrace_buildid {
	struct bpf_stack_build_id trace[127];
};

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

#endif
