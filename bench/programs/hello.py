"""The first thing that people write for BCC: who opens what, of the process that is named."""

import sys

from bcc import BPF

TEXT = """
#include <linux/sched.h>
struct data_t { u32 pid; char comm[TASK_COMM_LEN]; };
BPF_PERF_OUTPUT(events);
TRACEPOINT_PROBE(syscalls, sys_enter_openat) {
    struct data_t data = {};
    data.pid = bpf_get_current_pid_tgid() >> 32;
    if (data.pid != TRACED) return 0;
    bpf_get_current_comm(&data.comm, sizeof(data.comm));
    events.perf_submit(args, &data, sizeof(data));
    return 0;
}
"""
b = BPF(text=TEXT.replace("TRACED", sys.argv[1]))


def opened(cpu, data, size):
    event = b["events"].event(data)
    print(event.pid, event.comm.decode(), "opens", flush=True)


b["events"].open_perf_buffer(opened)
print("attached", flush=True)
while True:
    try:
        b.perf_buffer_poll()
    except KeyboardInterrupt:
        break
