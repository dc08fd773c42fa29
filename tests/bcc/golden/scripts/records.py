"""Records of perf and ring buffers: their members, as callbacks see them, and what is called in which order."""

import ctypes as ct
import os

from bcc import BPF

TEXT = """
enum kind { FIRST = 3, SECOND };
struct record {
    char c; unsigned char uc; s8 tiny; u8 byte; short s; u16 us; int i; u32 ui; long l; u64 ul; long long ll;
    s64 sll; enum kind kind; char name[16]; u8 bytes[6]; u32 numbers[3]; u64 many[2]; void *where; bool last;
};
struct pair { u32 first; u64 second; };
BPF_PERF_OUTPUT(records);
BPF_PERF_OUTPUT(pairs);
BPF_RINGBUF_OUTPUT(ring, 8);
BPF_RINGBUF_OUTPUT(reserved, 8);
BPF_ARRAY(calls, u32, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {
    if (bpf_get_current_pid_tgid() >> 32 != PID) return 0;
    int zero = 0;
    u32 *call = calls.lookup(&zero);
    if (!call) return 0;
    u32 n = ++*call;
    struct record record = {};
    record.c = 'c'; record.uc = 200; record.tiny = -3; record.byte = 250; record.s = -300; record.us = 60000;
    record.i = -70000 - (int)n; record.ui = 4000000000; record.l = -5000000000; record.ul = 1ull << 63;
    record.ll = -1; record.sll = -2; record.kind = SECOND; record.where = (void *)0x10;
    record.numbers[1] = n; record.many[1] = 1ull << 40; record.bytes[5] = 255;
    bpf_get_current_comm(&record.name, sizeof(record.name));
    records.perf_submit(args, &record, sizeof(record));
    struct pair pair = {n, n * 2};
    pairs.perf_submit(args, &pair, sizeof(pair));
    ring.ringbuf_output(&pair, sizeof(pair), 0);
    struct pair *slot = reserved.ringbuf_reserve(sizeof(struct pair));
    if (slot) {
        slot->first = n * 10;
        slot->second = n * 100;
        if (n % 2) reserved.ringbuf_submit(slot, 0); else reserved.ringbuf_discard(slot, 0);
    }
    return 0;
}
"""
with open("/proc/self/comm", "w") as comm:
    comm.write("golden")
b = BPF(text=TEXT.replace("PID", str(os.getpid())).replace("bool last", "u8 last"))
table = b["records"]


def shown(cpu, data, size):
    record = table.event(data)
    print("record", size, cpu < (os.cpu_count() or 1))
    print(record.c, record.uc, record.tiny, record.byte, record.s, record.us, record.i, record.ui, record.l)
    print(record.ul, record.ll, record.sll, record.kind, record.name, list(record.bytes), list(record.numbers))
    print(list(record.many), record.where, record.last)


def pair(cpu, data, size):
    event = b["pairs"].event(data)
    print("pair", event.first, event.second, size)


def ringed(context, data, size):
    event = b["ring"].event(data)
    print("ring", context, event.first, event.second, size)


def taken(context, data, size):
    event = ct.cast(data, ct.POINTER(ct.c_uint)).contents
    print("reserved", context, event.value, size, b[b"reserved"].event(data).second)


table.open_perf_buffer(shown)
b["pairs"].open_perf_buffer(pair, page_cnt=16)
for _ in range(2):
    os.getppid()
b.perf_buffer_poll()
os.getppid()
b.perf_buffer_poll(timeout=1000)
b.perf_buffer_poll(timeout=0)
b["ring"].open_ring_buffer(ringed)
b["reserved"].open_ring_buffer(taken)
b.ring_buffer_consume()
os.getppid()
os.getppid()
b.ring_buffer_poll(1000)
b.ring_buffer_poll(timeout=0)
