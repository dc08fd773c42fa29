"""What bcc.utils, bcc.syscall, bcc.tcp and BPF's own questions answer."""

import sys

from bcc import BPF, ArgString, tcp
from bcc.syscall import syscall_name, syscalls
from bcc.utils import get_online_cpus, get_possible_cpus, printb

printb(b"a line of bytes: \xc3\xa9")
printb(b"to a file", file=sys.stdout)
printb(b"no newline ", nl=False)
printb(b"and the rest")
print(ArgString("text"), bytes(ArgString("text")), ArgString("text").__bytes__())
for number in range(0, 335):
    print(number, syscall_name(number))
print(len(syscalls) > 330, syscalls[0], syscall_name(9999))
print(get_online_cpus()[:1], get_possible_cpus()[:1], isinstance(get_online_cpus(), list))
for state in range(1, 13):
    print(state, tcp.tcpstate[state])
print(tcp.tcpstate.get(99))
for flags in (1, 2, 16, 18, 24, 255):
    print(flags, tcp.flags2str(flags))
b = BPF(text="int f(void *ctx) { return 0; }")
print(b.get_syscall_fnname("clone"), b.get_syscall_prefix(), b.fix_syscall_fnname("sys_clone"))
print(b.fix_syscall_fnname("vfs_read"), b.fix_syscall_fnname(b"__x64_sys_kill"))
print(BPF.kernel_struct_has_field("task_struct", "pid"), BPF.kernel_struct_has_field("task_struct", "none"))
print(BPF.ksym(0), BPF.ksym(0, show_module=True), BPF.ksym(1, show_offset=True), BPF.ksymname("no_such"))
print(BPF.ksym(BPF.ksymname("vfs_read"), show_module=True, show_offset=True), BPF.ksym(BPF.ksymname("vfs_read") + 3))
print(BPF.support_raw_tracepoint(), BPF.XDP_PASS, BPF.KPROBE, BPF.SCHED_CLS, BPF.TRACEPOINT)
