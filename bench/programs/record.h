/* The record that the benchmarks send: eight fields, 64 bytes, two strings, an errno. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct record {
	__u32 pid;
	__u32 tid;
	__u32 uid;
	__u32 flags;
	__u32 number;
	__s32 ret;
	char comm[16];
	char filename[24];
};

/* How many records one run sends. */
const volatile __u32 count = 1;

/* Every eighth call fails, and file names repeat, as those of real programs do. */
static __always_inline void write_record(struct record *record, __u32 number)
{
	record->pid = 4242;
	record->tid = 4242 + (number & 3);
	record->uid = 0;
	record->flags = 02000000;
	record->number = number;
	record->ret = number & 7 ? 3 : -2;
	__builtin_memcpy(record->comm, "postgres", 9);
	__builtin_memcpy(record->filename, "/var/lib/data/000", 18);
	record->filename[14] = '0' + (number >> 4 & 7);
	record->filename[15] = '0' + (number >> 7 & 7);
	record->filename[16] = '0' + (number >> 10 & 7);
}

char LICENSE[] SEC("license") = "GPL";
