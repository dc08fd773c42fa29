"""USDT: probes that are found, enabled and read."""

import os
import subprocess
import sys

from bcc import BPF, USDT

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../programs/probed")
TEXT = """
#include <uapi/linux/ptrace.h>
struct event { u32 kind; int number; };
BPF_PERF_OUTPUT(events);
int plain(struct pt_regs *ctx) {
    struct event event = {.kind = 1};
    bpf_usdt_readarg(1, ctx, &event.number);
    events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
"""
program = subprocess.Popen([PROGRAM, "wait", "twice"], stdin=subprocess.PIPE)
while "probed" not in open(f"/proc/{program.pid}/maps").read():
    pass  # it is started, but not yet there
usdt = USDT(pid=program.pid)
usdt.enable_probe("plain", "plain")
b = BPF(text=TEXT, usdt_contexts=[usdt])
print(b.num_open_uprobes())
b["events"].open_perf_buffer(
    lambda cpu, data, size: print(b["events"].event(data).kind, b["events"].event(data).number, size)
)
program.stdin.write(b"\n")
program.stdin.flush()
b.perf_buffer_poll(10000)
program.communicate()
for probe in USDT(path=PROGRAM).enumerate_probes():
    print(probe.provider, probe.name, probe.num_locations, probe.num_arguments, os.path.basename(probe.bin_path))
try:
    USDT(path=PROGRAM).enable_probe("none", "plain")
except Exception as error:
    print(isinstance(error, Exception))
try:
    USDT(path=PROGRAM).enable_probe_or_bail("none", "plain")
except SystemExit as error:
    print(error.code)
sys.stdout.flush()
