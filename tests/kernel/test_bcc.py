"""BCC's scripts: the lessons that they learn from, as far as this kernel has what they attach to."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skep.base.errors import CompileError, EntryMissingError, HookMissingError, UnsupportedError, UsageError
from skep.bcc import BPF, PerfSWConfig, PerfType
from skep.bcc.symbols import kernel_names

# Of this process alone: others call it, too.
MINE = f"if (bpf_get_current_pid_tgid() >> 32 != {os.getpid()}) return 0;"
HELLO = """
BPF_HASH(counts, u32);
BPF_PERF_OUTPUT(events);
struct data_t { u32 pid; u64 ts; char comm[TASK_COMM_LEN]; };
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {
    MINE
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    counts.increment(pid);
    struct data_t data = {};
    data.pid = pid;
    data.ts = bpf_ktime_get_ns();
    bpf_get_current_comm(&data.comm, sizeof(data.comm));
    events.perf_submit(args, &data, sizeof(data));
    return 0;
}
"""


def load(text: str, **named) -> BPF:
    return BPF(text=text.replace("MINE", MINE), **named)


def test_a_tracepoint_counts_and_sends(capsys):
    seen = []

    with load(HELLO) as bpf:
        table = bpf["events"]

        def call(cpu: int, data: int, size: int) -> None:
            event = table.event(data)
            seen.append((event.pid, event.comm, event.ts > 0, size >= 32, cpu in range(os.cpu_count() or 1)))

        table.open_perf_buffer(call)
        for _ in range(3):
            os.getppid()
        bpf.perf_buffer_poll(1000)

        assert seen == [(os.getpid(), Path("/proc/self/comm").read_bytes().strip(), True, True, True)] * 3
        assert [(key.value, value.value) for key, value in bpf[b"counts"].items()] == [(os.getpid(), 3)]


def test_what_a_callback_raises_comes_out_and_the_rest_stays():
    seen = []

    with load(HELLO) as bpf:

        def call(cpu: int, data: int, size: int) -> None:
            seen.append(data)
            if len(seen) == 1:
                raise ValueError("the first")

        bpf["events"].open_perf_buffer(call)
        with pytest.raises(UsageError, match="open already"):
            bpf["events"].open_perf_buffer(call)
        for _ in range(3):
            os.getppid()
        with pytest.raises(ValueError, match="the first"):
            bpf.perf_buffer_poll()
        bpf.perf_buffer_consume()

        assert len(seen) == 3


MANY = """
struct record { char room[3000]; };
BPF_ARRAY(scratch, struct record, 1);
BPF_PERF_OUTPUT(events);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {
    MINE
    int zero = 0;
    struct record *record = scratch.lookup(&zero);
    if (record)
        events.perf_submit(args, record, sizeof(*record));
    return 0;
}
"""


def test_lost_records_are_told(capsys):
    lost: list[int] = []

    for callback in (lost.append, None):
        with load(MANY) as bpf:
            bpf["events"].open_perf_buffer(lambda *_: None, page_cnt=1, lost_cb=callback)
            for _ in range(20):
                os.getppid()
            bpf.perf_buffer_poll(1000)
            os.getppid()
            bpf.perf_buffer_poll(1000)

    assert sum(lost) >= 10
    assert re.fullmatch(r"(Possibly lost \d+ samples\n)+", capsys.readouterr().err)


RING = """
BPF_RINGBUF_OUTPUT(buffer, 4);
struct event { u64 number; char name[8]; };
BPF_ARRAY(calls, u64, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {
    MINE
    int zero = 0;
    u64 *number = calls.lookup(&zero);
    if (!number) return 0;
    struct event *event = buffer.ringbuf_reserve(sizeof(struct event));
    if (!event) return 0;
    event->number = (*number)++;
    __builtin_memcpy(event->name, "skep", 5);
    buffer.ringbuf_submit(event, 0);
    return 0;
}
"""


def test_a_ring_buffer_gives_its_context_and_ends_where_it_is_told():
    seen = []

    with load(RING) as bpf:
        with pytest.raises(UsageError, match="No ring buffers"):
            bpf.ring_buffer_poll()

        def call(context: str, data: int, size: int) -> int:
            event = bpf["buffer"].event(data)
            seen.append((context, event.number, event.name, size))
            return -1 if event.number == 1 else 0

        bpf["buffer"].open_ring_buffer(call, "mine")
        for _ in range(4):
            os.getppid()
        bpf.ring_buffer_poll(1000)
        assert [number for _, number, _, _ in seen] == [0, 1]
        bpf.ring_buffer_consume()

    assert seen == [("mine", number, b"skep", 16) for number in range(4)]


TABLES = """
struct key_t { u32 disk; u64 slot; };
BPF_HISTOGRAM(plain);
BPF_HISTOGRAM(numbers, int, 64);
BPF_HISTOGRAM(disks, struct key_t);
BPF_PERCPU_ARRAY(percpu, u32, 2);
BPF_PERCPU_HASH(percpu_hash, u32, u64);
BPF_ARRAY(array, u64, 4);
BPF_QUEUE(queue, u64, 4);
BPF_TABLE("lru_hash", u32, u64, lru, 8);
BPF_LPM_TRIE(trie, u64, u64, 4);
BPF_PROG_ARRAY(programs, 4);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {
    MINE
    struct key_t key = {.disk = 7, .slot = 3};
    plain.increment(bpf_log2l(10));
    numbers.increment(2);
    disks.increment(key);
    int zero = 0;
    u32 *count = percpu.lookup(&zero);
    if (count) (*count)++;
    u64 value = 5;
    queue.push(&value, BPF_EXIST);
    return 0;
}
"""


@pytest.fixture
def tables():
    with load(TABLES) as bpf:
        for _ in range(3):
            os.getppid()
        yield bpf


def test_histograms_are_printed(tables, capsys):
    tables["plain"].print_log2_hist("usecs")
    tables["numbers"].print_linear_hist("x")
    tables["disks"].print_log2_hist("usecs", "disk", section_print_fn=lambda disk: f"sd{disk}")

    lines = capsys.readouterr().out.splitlines()
    bar = "|****************************************|"
    assert f"         8 -> 15         : 3        {bar}" in lines
    assert f"        2          : 3        {bar}" in lines
    assert lines[lines.index("disk = sd7") - 1] == ""
    assert f"         4 -> 7          : 3        {bar}" in lines


def test_a_histogram_for_json(tables, capsys):
    tables["disks"].print_json_hist("usecs", "disk", bucket_fn=lambda disk: f"sd{disk}")

    assert re.search(r"'interval-start': 4, 'interval-end': 7, 'count': 3}\], 'disk': 'sd7'}", capsys.readouterr().out)


def test_values_of_cpus_are_added_up(tables):
    table = tables["percpu"]

    assert len(table.getvalue(0)) == len(table[0]) == table.total_cpu
    assert table.sum(0).value == sum(table[table.Key(0)]) == 3
    assert 1 <= table.max(0).value <= 3
    assert table.average(0) == 3 / table.total_cpu
    hashed = tables["percpu_hash"]
    hashed[hashed.Key(1)] = hashed.Leaf(*range(hashed.total_cpu))
    assert hashed.sum(hashed.Key(1)).value == sum(range(hashed.total_cpu))


def test_arrays_and_hashes_are_mappings(tables):
    array, lru = tables["array"], tables["lru"]

    array[1] = array.Leaf(7)
    array[-1] = ctypes.c_ulonglong(9)
    assert [leaf.value for leaf in array.values()] == [0, 7, 0, 9]
    assert (len(array), array[1].value) == (4, 7)
    with pytest.raises(IndexError):
        array[4]
    array.clear()
    assert [leaf.value for leaf in array.values()] == [0] * 4

    for number in (1, 2, 3):
        lru[lru.Key(number)] = lru.Leaf(number * 10)
    assert sorted((key.value, leaf.value) for key, leaf in lru.items()) == [(1, 10), (2, 20), (3, 30)]
    assert lru.Key(2) in lru
    del lru[lru.Key(2)]
    assert lru.Key(2) not in lru
    with pytest.raises(KeyError):
        lru[lru.Key(2)]
    for key in lru:  # deleted as it is walked
        del lru[key]
    assert len(lru) == 0


def test_batches_take_what_they_read(tables):
    table = tables["percpu_hash"]
    table.clear()
    keys = (table.Key * 2)(4, 5)
    table.items_update_batch(keys, [table.Leaf(1), table.Leaf(2)])

    assert sorted(key for key, _ in table.items_lookup_batch()) == [4, 5]
    assert sorted((key, sum(leaf)) for key, leaf in table.items_lookup_and_delete_batch()) == [(4, 1), (5, 2)]
    assert len(table) == 0


def test_queues_have_no_keys(tables):
    queue = tables["queue"]

    assert [leaf.value for leaf in queue.values()] == [5, 5, 5]
    queue.push(queue.Leaf(3))
    assert (queue.peek().value, queue.pop().value) == (3, 3)
    with pytest.raises(EntryMissingError):
        queue.pop()


def test_what_tables_do_not_have_is_refused_by_name(tables):
    with pytest.raises(UnsupportedError, match=r"array: skep has no decode_c_struct\(\)"):
        tables["array"].decode_c_struct(1)
    with pytest.raises(KeyError):
        tables["nothing"]
    with pytest.raises(UnsupportedError, match="disassemble_func"):
        tables.disassemble_func("x")


TAIL = """
BPF_PROG_ARRAY(programs, 4);
BPF_HASH(seen, u32);
int second(void *ctx) { u32 key = 2; seen.increment(key); return 0; }
int first(void *ctx) { MINE u32 key = 1; seen.increment(key); programs.call(ctx, 3); return 0; }
"""


def test_programs_of_no_certain_type_share_the_tables():
    with load(TAIL) as bpf:
        function = bpf.load_func("second", BPF.TRACEPOINT)
        bpf["programs"][ctypes.c_int(3)] = ctypes.c_int(function.fd)
        bpf.attach_tracepoint(tp="syscalls:sys_enter_getppid", fn_name="first")
        os.getppid()

        assert sorted((key.value, leaf.value) for key, leaf in bpf["seen"].items()) == [(1, 1), (2, 1)]
        assert bpf.num_open_tracepoints() == 1
        bpf.detach_tracepoint("syscalls:sys_enter_getppid")
        os.getppid()
        assert bpf["seen"][ctypes.c_uint(1)].value == 1
        with pytest.raises(UsageError, match="not attached"):
            bpf.detach_tracepoint("syscalls:sys_enter_getppid")
        with pytest.raises(UsageError, match="Unknown program third"):
            bpf.load_func("third", BPF.KPROBE)


UPROBE = """
#include <uapi/linux/ptrace.h>
BPF_HASH(depth, u64, s64);
BPF_HASH(names, u64, u64);
int entered(struct pt_regs *ctx, int pid) {
    MINE
    u64 key = 1, given = pid;
    s64 zero = 0, *n = depth.lookup_or_try_init(&key, &zero);
    if (n) (*n)++;
    names.increment(given);
    return 0;
}
int left(struct pt_regs *ctx) { MINE u64 key = 2; s64 result = PT_REGS_RC(ctx); depth.update(&key, &result); return 0; }
"""


def test_functions_of_libraries_are_entered_and_left():
    libc = ctypes.CDLL(None, use_errno=True)

    with load(UPROBE) as bpf:
        bpf.attach_uprobe(name="c", sym="getpgid", fn_name="entered", pid=os.getpid())
        bpf.attach_uretprobe(name="c", sym="getpgid", fn_name="left", pid=os.getpid())
        group = libc.getpgid(0)

        assert bpf.num_open_uprobes() == 2
        assert {key.value: leaf.value for key, leaf in bpf["depth"].items()} == {1: 1, 2: group}
        assert [key.value for key in bpf["names"]] == [0]
        bpf.detach_uprobe(name="c", sym="getpgid", pid=os.getpid())
        libc.getpgid(0)
        assert bpf["depth"][ctypes.c_ulonglong(1)].value == 1
    assert bpf.find_library("c").endswith(b"libc.so.6")
    assert b"getpgid" in bpf.get_user_functions("c", "getpgid$")


STACKS = """
#include <uapi/linux/ptrace.h>
#include <uapi/linux/bpf_perf_event.h>
BPF_STACK_TRACE(stacks, 128);
BPF_HASH(counts, int);
int sampled(struct bpf_perf_event_data *ctx) {
    MINE
    int id = stacks.get_stackid(&ctx->regs, BPF_F_USER_STACK);
    if (id >= 0) counts.increment(id);
    return 0;
}
"""


def test_samples_have_stacks():
    with load(STACKS) as bpf:
        bpf.attach_perf_event(
            ev_type=PerfType.SOFTWARE,
            ev_config=PerfSWConfig.PAGE_FAULTS,
            fn_name="sampled",
            sample_period=1,
            pid=os.getpid(),
        )
        memory = bytearray(4 << 20)
        memory[::4096] = b"x" * len(memory[::4096])
        counts = bpf["counts"].items()
        walked = [list(bpf["stacks"].walk(key.value, lambda place: bpf.sym(place, os.getpid()))) for key, _ in counts]

        assert sum(leaf.value for _, leaf in counts) > 10
        assert any(name != b"[unknown]" for stack in walked for name in stack)
        with pytest.raises(KeyError):
            bpf["stacks"].walk(-14)
        bpf.detach_perf_event(PerfType.SOFTWARE, PerfSWConfig.PAGE_FAULTS)


def test_addresses_of_processes_have_names():
    libc = ctypes.CDLL(None)
    address = ctypes.cast(libc.getpgid, ctypes.c_void_p).value or 0

    assert BPF.sym(address + 2, os.getpid(), show_module=True, show_offset=True).endswith(b"getpgid+0x2 [libc.so.6]")
    assert BPF.sym(1, os.getpid()) == b"[unknown]"
    assert BPF.sym(BPF.ksymname("vfs_read"), -1) == b"vfs_read"


def test_raw_tracepoints_have_their_arguments():
    text = """
    BPF_HASH(calls, u64);
    RAW_TRACEPOINT_PROBE(sys_enter) { MINE u64 number = ctx->args[1]; calls.increment(number); return 0; }
    """
    with load(text) as bpf:
        os.getppid()

        assert bpf["calls"][ctypes.c_ulonglong(110 if os.uname().machine == "x86_64" else 173)].value == 1


def test_the_registers_of_a_task_lie_at_the_end_of_its_stack():
    with load("""
#include <linux/sched.h>
BPF_ARRAY(calls, u64, 2);
TRACEPOINT_PROBE(raw_syscalls, sys_enter) {
    MINE
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct pt_regs *registers = (struct pt_regs *)(task->stack + THREAD_SIZE - TOP_OF_KERNEL_STACK_PADDING) - 1;
    int same = registers->orig_ax == args->id;
    calls.increment(same);
    return 0;
}""") as bpf:
        os.getppid()

        other, same = (bpf["calls"][number].value for number in range(2))
        assert (other, same > 0) == (0, True)


def test_what_programs_print_is_read_whole_and_in_parts():
    mark = f"skep {os.getpid()}"
    text = f'TRACEPOINT_PROBE(syscalls, sys_enter_getppid) {{ MINE bpf_trace_printk("{mark} %d\\n", 5); return 0; }}'
    with load(text) as bpf:
        os.getppid()
        os.getppid()
        line = b""
        while mark.encode() not in line:
            line = bpf.trace_readline()
        fields = bpf.trace_fields()
        while mark.encode() not in fields[5]:
            assert fields[0] != b"Unknown"
            fields = bpf.trace_fields()

        assert line.endswith(f": bpf_trace_printk: {mark} 5".encode())
        assert fields[1:3] == (os.getpid(), fields[2])
        assert (fields[5], isinstance(fields[4], float)) == (f"{mark} 5".encode(), True)


def test_a_text_that_is_wrong_is_told_with_its_own_line():
    with pytest.raises(CompileError) as caught:
        load("BPF_HASH(counts);\n\nint f(void *ctx) {\n    return counts.lokup(1);\n}\n")

    assert [found.line for found in caught.value.diagnostics] == [4]


def test_what_this_machine_is_asked():
    assert BPF.get_syscall_prefix() in BPF._syscall_prefixes
    assert BPF.kernel_struct_has_field("task_struct", "comm") == 1
    assert BPF.kernel_struct_has_field(b"task_struct", b"no_such_member") == 0
    assert BPF.kernel_struct_has_field("no_such_struct", "x") == -1
    assert BPF.tracepoint_exists("sched", "sched_switch")
    assert not BPF.tracepoint_exists("sched", "no_such_event")
    assert "sched:sched_switch" in BPF.get_tracepoints("sched:sched_sw")
    assert b"vfs_read" in BPF.get_kprobe_functions(b"vfs_re.*")
    # They are 200,000, and tools ask again and again.
    assert kernel_names().functions is kernel_names().functions
    assert BPF.support_raw_tracepoint()
    assert BPF.ksymname("vfs_read") > 0
    assert BPF.ksymname("no_such_function") == -1
    assert BPF.ksym(BPF.ksymname("vfs_read") + 4, show_module=True, show_offset=True) == b"vfs_read+0x4 [kernel]"
    assert BPF.ksym(0) == b"[unknown]"
    assert BPF.find_exe("sh").endswith(b"/sh")
    assert abs(BPF.monotonic_time() - time.monotonic_ns()) < 10**10


def test_what_this_kernel_lacks_is_told():
    text = "int f(struct pt_regs *ctx) { return 0; }"
    with load(text) as bpf:
        for attach in (
            lambda: bpf.attach_tracepoint(tp="sched:no_such_event", fn_name="f"),
            lambda: bpf.attach_kprobe(event="no_such_function", fn_name="f"),
            lambda: bpf.attach_perf_event(77, 1, "f", sample_period=1),
        ):
            with pytest.raises((HookMissingError, UnsupportedError)):
                attach()


def test_the_c_that_a_text_becomes_is_shown(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"from bcc import BPF\nBPF(text='''{RING.replace('MINE', MINE)}''')\nprint('not reached')\n")

    command = [sys.executable, "-m", "skep", "bcc", "--show-c", str(script)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "bpf_ringbuf_reserve(&buffer" in finished.stdout
    assert "not reached" not in finished.stdout
