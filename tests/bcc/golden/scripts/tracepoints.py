"""Tracepoints: their members, texts behind an offset, arrays, and raw arguments."""

import ctypes
import os
import subprocess

from bcc import BPF

TEXT = """
#include <linux/sched.h>
struct event { u32 kind; char comm[TASK_COMM_LEN]; char text[64]; int number; u64 more; };
BPF_PERF_OUTPUT(events);
static int ours(void) {
    char comm[TASK_COMM_LEN];
    bpf_get_current_comm(&comm, sizeof(comm));
    return comm[0] == 'g' && comm[1] == 'l' && comm[2] == 'd' && comm[3] == 'n';
}
TRACEPOINT_PROBE(sched, sched_process_exec) {
    if (!ours()) return 0;
    struct event event = {.kind = 1};
    bpf_get_current_comm(&event.comm, sizeof(event.comm));
    TP_DATA_LOC_READ_STR(event.text, filename, sizeof(event.text));
    event.number = args->pid == args->old_pid;
    events.perf_submit(args, &event, sizeof(event));
    return 0;
}
TRACEPOINT_PROBE(sched, sched_process_exit) {
    if (!ours()) return 0;
    struct event event = {.kind = 2};
    bpf_probe_read_kernel(&event.comm, sizeof(event.comm), args->comm);
    event.number = args->prio;
    events.perf_submit(args, &event, sizeof(event));
    return 0;
}
TRACEPOINT_PROBE(syscalls, sys_enter_openat) {
    if (!ours()) return 0;
    struct event event = {.kind = 3, .number = args->flags & 3, .more = args->mode};
    bpf_probe_read_user_str(&event.text, sizeof(event.text), (void *)args->filename);
    if (event.text[0] != '/' || event.text[1] != 'n' || event.text[2] != 'o') return 0;
    event.more = args->__syscall_nr;
    events.perf_submit(args, &event, sizeof(event));
    return 0;
}
int left(struct tracepoint__syscalls__sys_exit_openat *args) {
    if (!ours() || args->ret >= 0) return 0;
    struct event event = {.kind = 4, .number = args->ret, .more = -args->ret};
    events.perf_submit(args, &event, sizeof(event));
    return 0;
}
RAW_TRACEPOINT_PROBE(sys_enter) {
    if (!ours() || ctx->args[1] != 110) return 0;
    struct event event = {.kind = 5, .number = ctx->args[1]};
    events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
"""
b = BPF(text=TEXT)
b.attach_tracepoint(tp="syscalls:sys_exit_openat", fn_name="left")
b["events"].open_perf_buffer(lambda cpu, data, size: seen.append(b["events"].event(data)), page_cnt=64)
seen = []
os.makedirs("/tmp/skep-golden", exist_ok=True)
program = "/tmp/skep-golden/gldn"
with open(program, "w") as file:
    file.write("#!/bin/sh\n: < /nosuchfile\n")
os.chmod(program, 0o755)
subprocess.run([program], stderr=subprocess.DEVNULL)
os.remove(program)
os.rmdir("/tmp/skep-golden")
b.perf_buffer_poll(1000)
b.perf_buffer_poll(100)
for event in sorted(seen, key=lambda event: event.kind):
    print(event.kind, event.comm, event.text, event.number, event.more)
print(b.num_open_tracepoints())
b.detach_tracepoint("syscalls:sys_exit_openat")
print(b.num_open_tracepoints())
print(BPF.tracepoint_exists("sched", "sched_process_exec"), BPF.tracepoint_exists("sched", "none"))
print(sorted(BPF.get_tracepoints(b"sched:sched_process_ex.*")))
