/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/* libbpf's own, and what its releases after 1.1 have beside (see bpf_helpers.h). */
#include_next <bpf/bpf_core_read.h>

#if !defined(SKEP_BPF_CORE_READ_H) && !defined(SKEP_NO_COMPATIBILITY)
#define SKEP_BPF_CORE_READ_H

/* Reads through any pointer as through one to the kernel's own type, without a helper: Linux 6.2 and later. */
#ifndef bpf_core_cast
extern void *bpf_rdonly_cast(const void *pointer, __u32 type) __attribute__((weak, section(".ksyms")));
#define bpf_core_cast(pointer, type) \
	((typeof(type) *)bpf_rdonly_cast((pointer), bpf_core_type_id_kernel(type)))
#endif

/*
 * Writes a bit field where the running kernel has it, in memory that the program may write to. The shifts are those that
 * bring a field of a word, alone, to its low end: backwards they bring it to its place.
 */
#ifndef BPF_CORE_WRITE_BITFIELD
#define BPF_CORE_WRITE_BITFIELD(record, field, value) ({                                        \
	void *skep_place = (void *)(record) + __CORE_RELO(record, field, BYTE_OFFSET);          \
	const unsigned int skep_left = __CORE_RELO(record, field, LSHIFT_U64);                  \
	const unsigned int skep_right = __CORE_RELO(record, field, RSHIFT_U64);                 \
	const unsigned long long skep_mask = ~0ULL << skep_right >> skep_left;                  \
	const unsigned long long skep_bits = (unsigned long long)(value) << skep_right >> skep_left; \
	asm volatile("" : "+r"(skep_place));                                                    \
	switch (__CORE_RELO(record, field, BYTE_SIZE)) {                                        \
	case 1: skep_replace_bits(unsigned char, skep_place, skep_mask, skep_bits); break;      \
	case 2: skep_replace_bits(unsigned short, skep_place, skep_mask, skep_bits); break;     \
	case 4: skep_replace_bits(unsigned int, skep_place, skep_mask, skep_bits); break;       \
	case 8: skep_replace_bits(unsigned long long, skep_place, skep_mask, skep_bits); break; \
	}                                                                                       \
})
#define skep_replace_bits(word, place, mask, bits) (*(word *)(place) = (*(word *)(place) & ~(mask)) | (bits))
#endif

#endif
