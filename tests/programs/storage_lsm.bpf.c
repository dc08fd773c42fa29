/* Values that live in inodes, which only hooks of LSM may add to. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u64);
} inode_storage SEC(".maps");

SEC("lsm/file_open")
int BPF_PROG(opened, struct file *file)
{
	u64 *value = bpf_inode_storage_get(&inode_storage, file->f_inode, 0, 0);

	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
