/* The words of BCC's dialect, for the preprocessor alone: what they become is text, or is left for skep.bcc to read.
 *
 * skep_bcc_table(KIND, KEY, VALUE, NAME, ENTRIES, FLAGS, SHARED) is no macro: `skep.bcc.tables` reads it.
 */
#ifndef SKEP_BCC_DIALECT_H
#define SKEP_BCC_DIALECT_H

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define KBUILD_MODNAME "bcc"

/* A macro whose last arguments may be missing: the one that fits is the one behind those that are given. */
#define SKEP_BCC_FOURTH(a, b, c, d, name, ...) name
#define SKEP_BCC_THIRD(a, b, c, name, ...) name

#define BPF_F_TABLE(kind, key, value, name, entries, flags) skep_bcc_table(kind, key, value, name, entries, flags, "");
#define BPF_TABLE(kind, key, value, name, entries) BPF_F_TABLE(kind, key, value, name, entries, 0)
/* Shared: by name with other texts of the process, or by a path with all. */
#define BPF_TABLE_PUBLIC(kind, key, value, name, entries) skep_bcc_table(kind, key, value, name, entries, 0, ":public");
#define SKEP_BCC_SHARED5(kind, key, value, name, entries) BPF_TABLE_PUBLIC(kind, key, value, name, entries)
#define SKEP_BCC_SHARED6(kind, key, value, name, entries, flags) \
	skep_bcc_table(kind, key, value, name, entries, flags, ":public");
#define SKEP_BCC_SIXTH(a, b, c, d, e, f, name, ...) name
#define BPF_TABLE_SHARED(...) SKEP_BCC_SIXTH(__VA_ARGS__, SKEP_BCC_SHARED6, SKEP_BCC_SHARED5)(__VA_ARGS__)
#define SKEP_BCC_PINNED6(kind, key, value, name, entries, pin) skep_bcc_table(kind, key, value, name, entries, 0, pin);
#define SKEP_BCC_PINNED7(kind, key, value, name, entries, pin, flags) \
	skep_bcc_table(kind, key, value, name, entries, flags, pin);
#define SKEP_BCC_SEVENTH(a, b, c, d, e, f, g, name, ...) name
#define BPF_TABLE_PINNED(...) \
	SKEP_BCC_SEVENTH(__VA_ARGS__, SKEP_BCC_PINNED7, SKEP_BCC_PINNED6)(__VA_ARGS__)

#define SKEP_BCC_HASH1(name) BPF_TABLE("hash", u64, u64, name, 10240)
#define SKEP_BCC_HASH2(name, key) BPF_TABLE("hash", key, u64, name, 10240)
#define SKEP_BCC_HASH3(name, key, value) BPF_TABLE("hash", key, value, name, 10240)
#define SKEP_BCC_HASH4(name, key, value, entries) BPF_TABLE("hash", key, value, name, entries)
#define BPF_HASH(...) \
	SKEP_BCC_FOURTH(__VA_ARGS__, SKEP_BCC_HASH4, SKEP_BCC_HASH3, SKEP_BCC_HASH2, SKEP_BCC_HASH1)(__VA_ARGS__)

#define SKEP_BCC_CPU_HASH1(name) BPF_TABLE("percpu_hash", u64, u64, name, 10240)
#define SKEP_BCC_CPU_HASH2(name, key) BPF_TABLE("percpu_hash", key, u64, name, 10240)
#define SKEP_BCC_CPU_HASH3(name, key, value) BPF_TABLE("percpu_hash", key, value, name, 10240)
#define SKEP_BCC_CPU_HASH4(name, key, value, entries) BPF_TABLE("percpu_hash", key, value, name, entries)
#define BPF_PERCPU_HASH(...) \
	SKEP_BCC_FOURTH(__VA_ARGS__, SKEP_BCC_CPU_HASH4, SKEP_BCC_CPU_HASH3, SKEP_BCC_CPU_HASH2, SKEP_BCC_CPU_HASH1) \
	(__VA_ARGS__)

#define SKEP_BCC_ARRAY1(name) BPF_TABLE("array", int, u64, name, 10240)
#define SKEP_BCC_ARRAY2(name, value) BPF_TABLE("array", int, value, name, 10240)
#define SKEP_BCC_ARRAY3(name, value, entries) BPF_TABLE("array", int, value, name, entries)
#define BPF_ARRAY(...) SKEP_BCC_THIRD(__VA_ARGS__, SKEP_BCC_ARRAY3, SKEP_BCC_ARRAY2, SKEP_BCC_ARRAY1)(__VA_ARGS__)

#define SKEP_BCC_CPU_ARRAY1(name) BPF_TABLE("percpu_array", int, u64, name, 10240)
#define SKEP_BCC_CPU_ARRAY2(name, value) BPF_TABLE("percpu_array", int, value, name, 10240)
#define SKEP_BCC_CPU_ARRAY3(name, value, entries) BPF_TABLE("percpu_array", int, value, name, entries)
#define BPF_PERCPU_ARRAY(...) \
	SKEP_BCC_THIRD(__VA_ARGS__, SKEP_BCC_CPU_ARRAY3, SKEP_BCC_CPU_ARRAY2, SKEP_BCC_CPU_ARRAY1)(__VA_ARGS__)

/* An array where the key is int as it is written, a hash otherwise: as BCC has it. */
#define SKEP_BCC_HISTOGRAM1(name) BPF_TABLE("histogram", int, u64, name, 64)
#define SKEP_BCC_HISTOGRAM2(name, key) BPF_TABLE("histogram", key, u64, name, 64)
#define SKEP_BCC_HISTOGRAM3(name, key, entries) BPF_TABLE("histogram", key, u64, name, entries)
#define BPF_HISTOGRAM(...) \
	SKEP_BCC_THIRD(__VA_ARGS__, SKEP_BCC_HISTOGRAM3, SKEP_BCC_HISTOGRAM2, SKEP_BCC_HISTOGRAM1)(__VA_ARGS__)

#define SKEP_BCC_TRIE1(name) BPF_F_TABLE("lpm_trie", u64, u64, name, 10240, BPF_F_NO_PREALLOC)
#define SKEP_BCC_TRIE2(name, key) BPF_F_TABLE("lpm_trie", key, u64, name, 10240, BPF_F_NO_PREALLOC)
#define SKEP_BCC_TRIE3(name, key, value) BPF_F_TABLE("lpm_trie", key, value, name, 10240, BPF_F_NO_PREALLOC)
#define SKEP_BCC_TRIE4(name, key, value, entries) BPF_F_TABLE("lpm_trie", key, value, name, entries, BPF_F_NO_PREALLOC)
#define BPF_LPM_TRIE(...) \
	SKEP_BCC_FOURTH(__VA_ARGS__, SKEP_BCC_TRIE4, SKEP_BCC_TRIE3, SKEP_BCC_TRIE2, SKEP_BCC_TRIE1)(__VA_ARGS__)

#define BPF_PERF_OUTPUT(name) BPF_TABLE("perf_output", int, u32, name, 0)
#define BPF_PERF_ARRAY(name, entries) BPF_TABLE("perf_array", int, u32, name, entries)
#define BPF_RINGBUF_OUTPUT(name, pages) BPF_TABLE("ringbuf", int, u32, name, (pages) * 4096)
#define BPF_PROG_ARRAY(name, entries) BPF_TABLE("prog", u32, u32, name, entries)
#define BPF_STACK_TRACE(name, entries) BPF_TABLE("stacktrace", int, struct bpf_stacktrace, name, entries)
#define BPF_CGROUP_ARRAY(name, entries) BPF_TABLE("cgroup_array", int, u32, name, entries)
#define BPF_DEVMAP(name, entries) BPF_TABLE("devmap", int, int, name, entries)
#define BPF_CPUMAP(name, entries) BPF_TABLE("cpumap", int, u32, name, entries)
#define SKEP_BCC_QUEUE3(kind, name, value, entries) BPF_F_TABLE(kind, int, value, name, entries, 0)
#define SKEP_BCC_QUEUE4(kind, name, value, entries, flags) BPF_F_TABLE(kind, int, value, name, entries, flags)
#define SKEP_BCC_FIFTH(a, b, c, d, e, name, ...) name
#define BPF_QUEUE(...) SKEP_BCC_FIFTH("queue", __VA_ARGS__, SKEP_BCC_QUEUE4, SKEP_BCC_QUEUE3)("queue", __VA_ARGS__)
#define BPF_STACK(...) SKEP_BCC_FIFTH("stack", __VA_ARGS__, SKEP_BCC_QUEUE4, SKEP_BCC_QUEUE3)("stack", __VA_ARGS__)
#define BPF_QUEUESTACK_PINNED(kind, name, value, entries, flags, pin) \
	skep_bcc_table(kind, int, value, name, entries, flags, pin);
#define BPF_QUEUESTACK_PUBLIC(kind, name, value, entries, flags) \
	skep_bcc_table(kind, int, value, name, entries, flags, ":public");
#define BPF_QUEUESTACK_SHARED(kind, name, value, entries, flags) \
	BPF_QUEUESTACK_PUBLIC(kind, name, value, entries, flags)
#define BPF_TASK_STORAGE(name, value) BPF_F_TABLE("task_storage", int, value, name, 0, BPF_F_NO_PREALLOC)
#define BPF_SK_STORAGE(name, value) BPF_F_TABLE("sk_storage", int, value, name, 0, BPF_F_NO_PREALLOC)
#define BPF_INODE_STORAGE(name, value) BPF_F_TABLE("inode_storage", int, value, name, 0, BPF_F_NO_PREALLOC)

#define BPF_CGROUP_STORAGE(name, value) \
	BPF_TABLE("cgroup_storage", struct bpf_cgroup_storage_key, value, name, 0)
#define BPF_PERCPU_CGROUP_STORAGE(name, value) \
	BPF_TABLE("percpu_cgroup_storage", struct bpf_cgroup_storage_key, value, name, 0)
#define SKEP_BCC_XSK2(name, entries) BPF_TABLE("xskmap", int, int, name, entries)
#define SKEP_BCC_XSK3(name, entries, pin) BPF_TABLE_PINNED("xskmap", int, int, name, entries, pin)
#define BPF_XSKMAP(...) SKEP_BCC_THIRD(__VA_ARGS__, SKEP_BCC_XSK3, SKEP_BCC_XSK2, )(__VA_ARGS__)
#define BPF_SOCKMAP(name, entries) BPF_TABLE("sockmap", u32, u32, name, entries)
#define SKEP_BCC_SOCKHASH1(name) BPF_TABLE("sockhash", u32, u32, name, 10240)
#define SKEP_BCC_SOCKHASH2(name, key) BPF_TABLE("sockhash", key, u32, name, 10240)
#define SKEP_BCC_SOCKHASH3(name, key, entries) BPF_TABLE("sockhash", key, u32, name, entries)
#define BPF_SOCKHASH(...) \
	SKEP_BCC_THIRD(__VA_ARGS__, SKEP_BCC_SOCKHASH3, SKEP_BCC_SOCKHASH2, SKEP_BCC_SOCKHASH1)(__VA_ARGS__)
#define BPF_ARRAY_OF_MAPS(name, inner, entries) BPF_TABLE("array_of_maps$" inner, int, int, name, entries)
#define SKEP_BCC_HASH_OF2(name, inner) BPF_TABLE("hash_of_maps$" inner, int, int, name, 10240)
#define SKEP_BCC_HASH_OF3(name, key, inner) BPF_TABLE("hash_of_maps$" inner, key, int, name, 10240)
#define SKEP_BCC_HASH_OF4(name, key, inner, entries) BPF_TABLE("hash_of_maps$" inner, key, int, name, entries)
#define BPF_HASH_OF_MAPS(...) \
	SKEP_BCC_FOURTH(__VA_ARGS__, SKEP_BCC_HASH_OF4, SKEP_BCC_HASH_OF3, SKEP_BCC_HASH_OF2, )(__VA_ARGS__)
#define BPF_STACK_TRACE_BUILDID(name, entries) \
	BPF_F_TABLE("stacktrace", int, struct bpf_stacktrace_buildid, name, entries, BPF_F_STACK_BUILD_ID)

#define TRACEPOINT_PROBE(category, event) \
	int tracepoint__##category##__##event(struct tracepoint__##category##__##event *args)
#define RAW_TRACEPOINT_PROBE(event) int raw_tracepoint__##event(struct bpf_raw_tracepoint_args *ctx)
#define KFUNC_PROBE(event, ...) int BPF_PROG(kfunc__vmlinux__##event, ##__VA_ARGS__)
#define KRETFUNC_PROBE(event, ...) int BPF_PROG(kretfunc__vmlinux__##event, ##__VA_ARGS__)
#define MODULE_KFUNC_PROBE(module, event, ...) int BPF_PROG(kfunc__##module##__##event, ##__VA_ARGS__)
#define MODULE_KRETFUNC_PROBE(module, event, ...) int BPF_PROG(kretfunc__##module##__##event, ##__VA_ARGS__)
#define KMOD_RET(event, ...) int BPF_PROG(kmod_ret__##event, ##__VA_ARGS__)
#define LSM_PROBE(event, ...) int BPF_PROG(lsm__##event, ##__VA_ARGS__)

/* Of the source, a macro of its own name is expanded once. */
#define bpf_trace_printk(format, ...) \
	({ char skep_format[] = format; bpf_trace_printk(skep_format, sizeof(skep_format), ##__VA_ARGS__); })

#undef bpf_printk
#define bpf_printk(format, ...) bpf_trace_printk(format, ##__VA_ARGS__)

#define TP_DATA_LOC_READ_CONST(to, field, length) \
	bpf_probe_read_kernel((void *)(to), length, (char *)args + (args->data_loc_##field & 0xffff))
#define TP_DATA_LOC_READ(to, field) \
	({ unsigned short skep_length = args->data_loc_##field >> 16; \
	   bpf_probe_read_kernel((void *)(to), skep_length, (char *)args + (args->data_loc_##field & 0xffff)); })
#define TP_DATA_LOC_READ_STR(to, field, length) \
	bpf_probe_read_kernel_str((void *)(to), length, (char *)args + (args->data_loc_##field & 0xffff))

/* What a void pointer leads to has no size, in BCC none that an argument has: it is left as it was. */
#define SKEP_BCC_IS_VOID(pointer) __builtin_types_compatible_p(typeof(*(pointer)), void)
#define SKEP_BCC_SIZED(pointer) typeof(__builtin_choose_expr(SKEP_BCC_IS_VOID(pointer), (long *)0, (pointer)))
#define bpf_usdt_readarg(number, ctx, to) \
	({ long skep_argument = 0; int skep_error = bpf_usdt_arg(ctx, (number) - 1, &skep_argument); \
	   if (!SKEP_BCC_IS_VOID(to)) \
		*(SKEP_BCC_SIZED(to))(to) = (typeof(*(SKEP_BCC_SIZED(to))0))skep_argument; \
	   SKEP_BCC_IS_VOID(to) ? -1 : skep_error; })
#define bpf_usdt_readarg_p(number, ctx, to, size) \
	({ long skep_argument = 0; bpf_usdt_arg(ctx, (number) - 1, &skep_argument); \
	   bpf_probe_read_user(to, size, (void *)skep_argument); })
#define cursor_advance(cursor, length) ({ void *skep_place = (cursor); (cursor) += (length); skep_place; })
#define BPF_PACKET_HEADER __attribute__((packed, annotate("packet")))
#define CUR_CPU_IDENTIFIER BPF_F_CURRENT_CPU
#define PT_REGS_SYSCALL_CTX(ctx) ((struct pt_regs *)PT_REGS_PARM1(ctx))
#define lock_xadd(pointer, number) ((void)__sync_fetch_and_add(pointer, number))

#define bpf_htonll(x) bpf_cpu_to_be64(x)
#define bpf_ntohll(x) bpf_be64_to_cpu(x)

#include "kernel.h"

#endif
