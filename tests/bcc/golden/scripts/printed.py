"""What programs print, as a script reads it: lines, fields, and formats."""

import os

from bcc import BPF
from bcc.utils import printb

TEXT = r"""
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {
    if (bpf_get_current_pid_tgid() >> 32 != PID) return 0;
    char name[16];
    bpf_get_current_comm(&name, sizeof(name));
    bpf_trace_printk("MARK no arguments\n");
    bpf_trace_printk("MARK %d %u %s\n", -5, 7, name);
    bpf_trace_printk("MARK %llx: a colon: %ld\n", 0xdeadbeefull, 1l << 40);
    bpf_trace_printk("MARK without a newline");
    bpf_trace_printk("MARK the last\n");
    return 0;
}
"""
MARK = f"MARK{os.getpid()}"
with open("/proc/self/comm", "w") as comm:
    comm.write("golden")
b = BPF(text=TEXT.replace("PID", str(os.getpid())).replace("MARK", MARK))


def own(read):
    """Others print, too."""
    found = read()
    while MARK.encode() not in (found if isinstance(found, bytes) else found[5]):
        found = read()
    return found


os.getppid()
for _ in range(4):
    task, pid, cpu, flags, seconds, message = own(b.trace_fields)
    print(type(task), pid == os.getpid(), cpu < 64, len(flags), seconds > 0, type(seconds).__name__)
    print(message.replace(MARK.encode(), b"MARK"))
    printb(b"%6d %s" % (5, message.replace(MARK.encode(), b"MARK")))
own(b.trace_readline)
os.getppid()
for _ in range(5):
    print(own(b.trace_readline).rpartition(b"MARK")[2].lstrip(b"0123456789"))


class Ended(BaseException):
    """Ends what would not end."""


class Bounded:
    """Standard output that ends what prints the last line."""

    def __init__(self):
        self.file = os.sys.stdout

    def write(self, text):
        if MARK not in text:
            return
        self.file.write(text.replace(MARK, "MARK").replace(str(os.getpid()), "PID") + "\n")
        if "the last" in text:
            os.sys.stdout = self.file
            raise Ended

    def flush(self):
        self.file.flush()


for fmt in ("{1} {5}", "msg = {5}", "{1:>8}|{5}"):
    os.getppid()
    os.sys.stdout = Bounded()
    try:
        b.trace_print(fmt=fmt)
    except Ended:
        pass
