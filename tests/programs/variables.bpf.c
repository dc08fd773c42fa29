// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* Globals of every section, which the program changes each time that it is run, and user space in between. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

enum mode { IDLE, BUSY };

__u64 runs;
__s16 step = 5;
__u32 address; /* as the network has it */
bool enabled;
enum mode state = BUSY;
char word[8] = "abc";
char told[8];
__u64 wide SEC(".data.wide") = 1;
struct pair { __u32 first, second; } pair = { 1, 2 };
const volatile __u32 limit = 7;

/* What holds a lock cannot be mapped. */
struct bpf_spin_lock lock SEC(".data.locked");
__u32 guarded SEC(".data.locked") = 9;

SEC("syscall")
int run(void *ctx)
{
	runs += step;
	wide <<= 1;
	pair.first += pair.second;
	if (enabled)
		state = IDLE;
	__builtin_memcpy(told, word, sizeof(told));
	bpf_spin_lock(&lock);
	guarded++;
	bpf_spin_unlock(&lock);
	return limit;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
