/* SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0) */
/*
 * libbpf's own, and what its releases after 1.1 have beside: a source may count on either. What the system's libbpf, or
 * the source before this point, defines is left as it is. -DSKEP_NO_COMPATIBILITY leaves libbpf's alone.
 */
#include_next <bpf/bpf_helpers.h>

#if !defined(SKEP_BPF_HELPERS_H) && !defined(SKEP_NO_COMPATIBILITY)
#define SKEP_BPF_HELPERS_H

/* vmlinux.h has it; <linux/bpf.h> has not. */
#ifndef __VMLINUX_H__
typedef __SIZE_TYPE__ size_t;
#endif

#ifndef likely
#define likely(condition) __builtin_expect(!!(condition), 1)
#endif
#ifndef unlikely
#define unlikely(condition) __builtin_expect(!!(condition), 0)
#endif

/* A property of a map that is a number of 64 bits, such as map_extra: libbpf reads it from 1.5 on. */
#ifndef __ulong
#define __ulong(name, value) enum { ___bpf_concat(skep_number_, __COUNTER__) = (value) } name
#endif

/* Pointers in maps: Linux 6.3 and later. */
#ifndef __kptr_untrusted
#define __kptr_untrusted __attribute__((btf_type_tag("kptr_untrusted")))
#endif
#ifndef __percpu_kptr
#define __percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#endif
#ifndef __uptr
#define __uptr __attribute__((btf_type_tag("uptr")))
#endif

/* What the verifier may assume of an argument of a global function: Linux 6.8 and later. */
#ifndef __arg_ctx
#define __arg_ctx __attribute__((btf_decl_tag("arg:ctx")))
#endif
#ifndef __arg_nonnull
#define __arg_nonnull __attribute__((btf_decl_tag("arg:nonnull")))
#endif
#ifndef __arg_nullable
#define __arg_nullable __attribute__((btf_decl_tag("arg:nullable")))
#endif
#ifndef __arg_trusted
#define __arg_trusted __attribute__((btf_decl_tag("arg:trusted")))
#endif
#ifndef __arg_untrusted
#define __arg_untrusted __attribute__((btf_decl_tag("arg:untrusted")))
#endif
#ifndef __arg_arena
#define __arg_arena __attribute__((btf_decl_tag("arg:arena")))
#endif

/* A call that leaves most registers as they are: clang 20 and later. */
#ifndef __bpf_fastcall
#if __has_attribute(bpf_fastcall)
#define __bpf_fastcall __attribute__((bpf_fastcall))
#else
#define __bpf_fastcall
#endif
#endif

/* Has the kernel this weak symbol? */
#ifndef bpf_ksym_exists
#define bpf_ksym_exists(symbol) (!!(symbol))
#endif

/*
 * Loops that the verifier walks once (open-coded iterators): Linux 6.4 and later. The iterator is closed however the loop
 * is left. Its end is named, so that the compiler puts it into BTF, which an attribute alone does not.
 */
struct bpf_iter_num;
extern int bpf_iter_num_new(struct bpf_iter_num *iterator, int start, int end) __weak __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *iterator) __weak __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *iterator) __weak __ksym;

#define skep_iterator(type, arguments...)                                                            \
	struct bpf_iter_##type skep_it __attribute__((aligned(8), cleanup(bpf_iter_##type##_destroy))), \
		*skep_begun __attribute__((unused)) =                                                \
			((void)bpf_iter_##type##_destroy, bpf_iter_##type##_new(&skep_it, ##arguments), (void *)0)

#ifndef bpf_for_each
#define bpf_for_each(type, item, arguments...) \
	for (skep_iterator(type, ##arguments); ((item) = bpf_iter_##type##_next(&skep_it));)
#endif
/* Counts from start to below end. The number is compared again, since the verifier does not know what the iterator gives. */
#ifndef bpf_for
#define bpf_for(number, start, end)                                                      \
	for (skep_iterator(num, (start), (end)); ({                                      \
		     int *skep_next = bpf_iter_num_next(&skep_it);                       \
		     (number) = skep_next ? *skep_next : 0;                              \
		     skep_next && (number) >= (start) && (number) < (end);               \
	     });)
#endif
#ifndef bpf_repeat
#define bpf_repeat(count) for (skep_iterator(num, 0, (count)); bpf_iter_num_next(&skep_it);)
#endif

#endif
