// SPDX-License-Identifier: (GPL-2.0-only OR Apache-2.0)
/* strlencount: of which texts programs ask the length, and how often. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "skep.h"

/// Only this process (0: all).
const volatile pid_t pid_target = 0;

struct text {
	char text[80];
};

/// @sample {"type": "default_kv"}
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct text);
	__type(value, u64);
} texts SEC(".maps");

SEC("uprobe/libc:strlen")
int BPF_UPROBE(asked, const char *text)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	/* All zeros: what stands behind the end of a text belongs to the key, too. */
	struct text key = {};
	u64 none = 0, *count;

	if (!skep_in_scope() || (pid_target && pid != pid_target))
		return 0;
	if (bpf_probe_read_user_str(key.text, sizeof(key.text), text) < 0)
		return 0;
	count = skep_entry(&texts, &key, &none);
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

/// Shows of which texts programs ask the length, and how often.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
