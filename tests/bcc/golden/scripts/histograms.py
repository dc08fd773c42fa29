"""Histograms: counted in the kernel and written from Python, by powers of two, by numbers, and for JSON."""

import ctypes
import os

from bcc import BPF

TEXT = """
struct disk_key { char name[8]; u64 slot; };
struct number_key { u32 number; u32 slot; };
struct small_key { u8 number; u8 slot; };
BPF_HISTOGRAM(plain);
BPF_HISTOGRAM(wide, int, 65);
BPF_HISTOGRAM(hashed, u64);
BPF_HISTOGRAM(linear, int, 64);
BPF_HISTOGRAM(disks, struct disk_key);
BPF_HISTOGRAM(numbers, struct number_key);
BPF_HISTOGRAM(smalls, struct small_key);
BPF_HISTOGRAM(empty);
BPF_HISTOGRAM(zeros);
BPF_ARRAY(calls, u64, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {
    if (bpf_get_current_pid_tgid() >> 32 != PID) return 0;
    int zero = 0;
    u64 *call = calls.lookup(&zero);
    if (!call) return 0;
    u64 n = (*call)++;
    plain.increment(bpf_log2l(n * n));
    plain.atomic_increment(bpf_log2(n));
    wide.increment(bpf_log2l(n << 40));
    hashed.increment(bpf_log2l(n * 1000), 3);
    linear.increment(n % 7 + 3);
    linear.atomic_increment(n % 5, 10);
    zeros.increment(0);
    struct disk_key disk = {.slot = bpf_log2l(n)};
    if (n % 3) __builtin_memcpy(disk.name, "sda", 4);
    else __builtin_memcpy(disk.name, "nvme0n1", 8);
    disks.increment(disk);
    struct number_key number = {.number = n % 4 + 10, .slot = bpf_log2l(n * 50)};
    numbers.increment(number);
    struct small_key small = {.number = 0xff - n % 2, .slot = n % 6};
    smalls.increment(small);
    return 0;
}
"""

b = BPF(text=TEXT.replace("PID", str(os.getpid())))
for _ in range(40):
    os.getppid()

b["plain"].print_log2_hist()
b["plain"].print_log2_hist("usecs")
b["wide"].print_log2_hist("nsecs")
b["hashed"].print_log2_hist("a unit that is longer than its column", strip_leading_zero=True)
b["linear"].print_linear_hist("number")
b["linear"].print_linear_hist("number", strip_leading_zero=True)
b["empty"].print_log2_hist("usecs")
b["empty"].print_linear_hist("usecs")
b["zeros"].print_log2_hist("usecs")
b["zeros"].print_linear_hist("usecs")
order = {"bucket_sort_fn": sorted}
b["disks"].print_log2_hist("usecs", "disk", **order)
b["disks"].print_log2_hist("usecs", "disk", section_print_fn=bytes.decode, **order)
b["disks"].print_linear_hist("slot", "disk", **order)
b["numbers"].print_log2_hist("usecs", "number", **order)
b["numbers"].print_log2_hist(section_print_fn=lambda n: f"<{n:x}>", bucket_fn=lambda n: n * 2, **order)
b["numbers"].print_linear_hist(
    "slot", bucket_sort_fn=lambda found: sorted(found, reverse=True), strip_leading_zero=True
)
b["smalls"].print_linear_hist("slot", "number", **order)
b["plain"].print_json_hist("usecs")
b["empty"].print_json_hist()
b["disks"].print_json_hist("usecs", "disk", bucket_sort_fn=sorted)
b["numbers"].print_json_hist(section_print_fn=hex, bucket_fn=lambda n: n * 2, bucket_sort_fn=sorted)

b["plain"].clear()
b["plain"][3] = ctypes.c_ulong(1000)
b["plain"][ctypes.c_int(33)] = ctypes.c_ulong(7)
b["plain"].print_log2_hist("bytes", "none")
b["plain"].zero()
b["plain"].print_log2_hist("bytes")
print(type(b["plain"]).__name__, type(b["hashed"]).__name__, len(b["plain"]), len(b["hashed"]))
