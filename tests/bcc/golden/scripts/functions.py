"""Functions of a library: arguments, texts that they point to, results, regular expressions, and where they are."""

import ctypes
import os

from bcc import BPF

TEXT = """
#include <uapi/linux/ptrace.h>
struct event { u64 a, b; char text[32]; int result; u32 sum; };
BPF_PERF_OUTPUT(events);
BPF_HASH(started, u32, u64);
struct pair { int first; int second; };
static int mine(void) { return bpf_get_current_pid_tgid() >> 32 == PID; }
int compared(struct pt_regs *ctx, const char *one, const char *other, size_t size) {
    if (!mine() || size != 77) return 0;
    struct event event = {.a = size, .b = one[1]};
    bpf_probe_read_user_str(&event.text, sizeof(event.text), (void *)other);
    event.result = *other;
    events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
int compared_result(struct pt_regs *ctx) {
    if (!mine()) return 0;
    struct event event = {.a = 2, .result = PT_REGS_RC(ctx)};
    events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
int divided(struct pt_regs *ctx) {
    if (!mine()) return 0;
    struct event event = {.a = PT_REGS_PARM1(ctx)};
    events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
int paired(struct pt_regs *ctx, struct pair *pair, unsigned n) {
    if (!mine() || n != 2) return 0;
    struct event event = {.a = pair->first, .b = pair[1].second, .sum = pair->first + pair->second};
    events.perf_submit(ctx, &event, sizeof(event));
    return 0;
}
"""
libc = ctypes.CDLL("libc.so.6")
b = BPF(text=TEXT.replace("PID", str(os.getpid())))
b.attach_uprobe(name="c", sym="strncasecmp_l", fn_name="compared", pid=os.getpid())
b.attach_uprobe(name="c", sym="div", fn_name="divided", pid=os.getpid())
b.attach_uretprobe(name="c", sym="abs", fn_name="compared_result", pid=os.getpid())
b.attach_uprobe(name="c", sym="swab", fn_name="paired", pid=os.getpid())


def shown(cpu, data, size):
    event = b["events"].event(data)
    print(event.a, event.b, event.text, event.result, event.sum)


b["events"].open_perf_buffer(shown)
libc.div(7, -3)
libc.abs(-12)


class Pair(ctypes.Structure):
    _fields_ = [("first", ctypes.c_int), ("second", ctypes.c_int)]


libc.swab((Pair * 2)(Pair(1, 2), Pair(3, 4)), 2, 0)
b.perf_buffer_poll()
print(b.num_open_uprobes(), b.num_open_kprobes(), b.num_open_tracepoints())
b.detach_uprobe(name="c", sym="div", pid=os.getpid())
libc.div(8, 8)
libc.abs(-13)
b.perf_buffer_poll(1000)
print(b.num_open_uprobes())
b.attach_uprobe(name=BPF.find_library("c"), sym_re=b"^l?labs$", fn_name="divided", pid=os.getpid())
print(b.num_open_uprobes())
libc.labs(5)
libc.llabs(6)
b.perf_buffer_poll(1000)
print(sorted(BPF.get_user_functions(BPF.find_library("c"), b"^l?labs$")))
print(len(BPF.get_user_addresses(BPF.find_library("c"), b"^labs$")))
try:
    b.attach_uprobe(name="c", sym="no_such_function", fn_name="divided")
except Exception as error:
    print(isinstance(error, Exception))
for name in ("c", "no_such_library"):
    found = BPF.find_library(name)
    print(found and os.path.basename(found))
address = ctypes.cast(libc.abs, ctypes.c_void_p).value
for options in ({}, {"show_module": True}, {"show_offset": True}, {"show_module": True, "show_offset": True}):
    print(BPF.sym(address + 1, os.getpid(), **options), BPF.sym(1, os.getpid(), **options))
