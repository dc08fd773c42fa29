/* Reads a variable that no kernel has. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

extern const int skep_absent __ksym;

SEC("tp/syscalls/sys_enter_getppid")
int hook(void *ctx)
{
	return skep_absent;
}

char LICENSE[] SEC("license") = "GPL";
