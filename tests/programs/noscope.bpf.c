/* Includes skep.h and never asks whether a task is in scope. */
#include "hook.h"

SEC("tp/syscalls/sys_enter_unlinkat")
int hook(void *ctx)
{
	struct event *event = skep_reserve(&events, struct event);

	if (!event)
		return 0;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->ret = 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}
