"""Lines that trace_print() prints as they are."""

import os
import re

from bcc import BPF

MARK = f"MARK{os.getpid()}"
TEXT = f"""
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {{
    if (bpf_get_current_pid_tgid() >> 32 == {os.getpid()})
        bpf_trace_printk("{MARK} %d\\n", 5);
    return 0;
}}
"""
with open("/proc/self/comm", "w") as comm:
    comm.write("golden")
b = BPF(text=TEXT)
kept = os.sys.stdout


class Once:
    """Standard output that ends what prints to it."""

    def write(self, text):
        if MARK in text:
            text = re.sub(r"\[\d{3}\]", "[CPU]", re.sub(r"\d+\.\d{6}", "TIME", text))
            kept.write(text.replace(f"{MARK}", "MARK").replace(str(os.getpid()), "PID") + "\n")
            raise KeyboardInterrupt

    def flush(self):
        pass


os.getppid()
os.sys.stdout = Once()
try:
    b.trace_print()
except KeyboardInterrupt:
    os.sys.stdout = kept
