"""Stacks: of a program that is called, walked and named."""

import os
import re
import subprocess

from bcc import BPF

PROGRAM = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../programs/probed"))
TEXT = """
#include <uapi/linux/ptrace.h>
struct key { int user; int kernel; u32 number; };
BPF_STACK_TRACE(stacks, 1024);
BPF_HASH(counts, struct key);
int called(struct pt_regs *ctx) {
    struct key key = {.number = PT_REGS_PARM1(ctx)};
    key.user = stacks.get_stackid(ctx, BPF_F_USER_STACK);
    key.kernel = stacks.get_stackid(ctx, 0);
    counts.increment(key);
    return 0;
}
"""
program = subprocess.Popen([PROGRAM, "wait", "twice"], stdin=subprocess.PIPE)
b = BPF(text=TEXT)
b.attach_uprobe(name=PROGRAM, sym_re="^probed_(one|two)$", fn_name="called", pid=program.pid)
program.stdin.write(b"\n")
program.stdin.flush()
while sum(leaf.value for leaf in b["counts"].values()) < 2:
    pass
for key, leaf in sorted(b["counts"].items(), key=lambda pair: pair[0].number):
    print(key.number, leaf.value, key.user >= 0, key.kernel >= 0, len(list(b["stacks"].walk(key.user))))
    frames = list(b["stacks"].walk(key.user))
    for options in ({}, {"show_offset": True}, {"show_module": True}):
        names = [b.sym(frame, program.pid, **options) for frame in frames[:2]]
        print([re.sub(rb"\+0x[1-9a-f][0-9a-f]*", b"+OFFSET", name) for name in names])
try:
    list(b["stacks"].walk(-14))
except KeyError:
    print("KeyError")
print(b["stacks"].max_entries, type(b["stacks"]).__name__)
program.communicate()
