"""startup, memory, compile: one run of skep from its start to its first event, beside bpftrace and libbpf-tools.

startup   seconds from the start of the process to "attached", and to the first event on standard output
memory    largest resident size of the process, in MB, over the same run; and of a program that reads NumPy batches
compile   a source that nobody has compiled before, from start to attached; beside clang alone, on the same source

All trace the opens of one process of ours, which opens /dev/null a thousand times a second. skep runs its opensnoop,
which comes built. bpftrace runs two one-liners: the shortest, which prints the name at the entry of openat(2), and one
that does what opensnoop does (three system calls, entry and exit, the result). libbpf-tools' opensnoop is a program in
C with its kernel part built in: what a start costs without an interpreter.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from bench.report import Row, ratio
from skep.kernel.btf import header_folder, identity

SKEP = Path(sys.executable).with_name("skep")
OPENER = "import time\nwhile True:\n    open('/dev/null').close()\n    time.sleep(0.001)\n"
OURS = "skep run opensnoop"
READER = """
import signal, sys
import skep
signal.signal(signal.SIGINT, lambda *_: sys.exit())
spec = skep.compile("opensnoop")
spec.variables["pid_target"].value = int(sys.argv[1])
with spec.load() as loaded, loaded.attach():
    for batch in loaded.batches():
        print(batch.array.tolist(), flush=True)
"""


class Sample:
    """One run: seconds to attached (None where the tool does not say), seconds to the first event, peak MB."""

    def __init__(self, command: list[str], attached: bytes | None, event: bytes = b"/dev/null") -> None:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        self.attached = None
        if attached is not None:
            _skip_to(attached, process.stderr)
            self.attached = time.perf_counter() - started
        _skip_to(event, process.stdout)
        self.first_event = time.perf_counter() - started
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.stderr.read()
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        self.megabytes = usage.ru_maxrss / 1024


def _skip_to(text: bytes, lines: IO[bytes]) -> None:
    for line in lines:
        if text in line:
            return
    sys.exit(f"bench/run: the command ended without {text.decode()!r}")


def commands(pid: int) -> list[tuple[str, list[str], bytes | None]]:
    """Each as (name, command, what it says when it is attached)."""
    calls = ("open", "openat", "openat2")
    enter, leave = (", ".join(f"tracepoint:syscalls:sys_{way}_{call}" for call in calls) for way in ("enter", "exit"))
    shortest = f'tracepoint:syscalls:sys_enter_openat /pid == {pid}/ {{ printf("%s\\n", str(args->filename)); }}'
    equal = (
        f"{enter} /pid == {pid}/ {{ @name[tid] = args->filename; }} "
        f'{leave} /@name[tid]/ {{ printf("%d %s %d %s\\n", pid, comm, args->ret, str(@name[tid])); '
        "delete(@name[tid]); }"
    )
    return [
        (OURS, [str(SKEP), "run", "opensnoop", "--pid-target", str(pid)], b"attached"),
        ("bpftrace, shortest one-liner", ["bpftrace", "-B", "none", "-e", shortest], None),
        ("bpftrace, one-liner of equal work", ["bpftrace", "-B", "none", "-e", equal], None),
        # To a pipe it would write 4 KiB at a time.
        ("libbpf-tools", ["stdbuf", "-oL", "opensnoop", "-p", str(pid)], None),
    ]


def _samples(runs: int, more: list[tuple[str, list[str]]] | None = None) -> dict[str, list[Sample]]:
    """The runs of each command, in turn; the first round, which warms the caches, is left out."""
    for program, package in (("bpftrace", "bpftrace"), ("opensnoop", "libbpf-tools")):
        if shutil.which(program) is None:
            sys.exit(f"bench/run compares with {package}: sudo apt install {package}")
    opener = subprocess.Popen([sys.executable, "-c", OPENER])
    try:
        tools = commands(opener.pid)
        tools += [(name, [*command, str(opener.pid)], None) for name, command in more or []]
        rounds = [[Sample(command, attached) for _, command, attached in tools] for _ in range(runs + 1)]
    finally:
        opener.kill()
        opener.wait()
    return {name: [samples[index] for samples in rounds[1:]] for index, (name, _, _) in enumerate(tools)}


SOURCE = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct event {{ u64 time; u32 pid; char comm[16]; char filename[64]; }};
struct {{ __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 1 << 18); }} events SEC(".maps");

SEC("tp/syscalls/sys_enter_openat")
int opened_{number}(struct trace_event_raw_sys_enter *ctx)
{{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return 0;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->time = bpf_ktime_get_ns();
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_probe_read_user_str(event->filename, sizeof(event->filename), (void *)ctx->args[1]);
	bpf_ringbuf_submit(event, 0);
	return 0;
}}

char LICENSE[] SEC("license") = "GPL";
"""


def startup(runs: int) -> list[Row]:
    """Seconds to attached and to the first event."""
    samples = _samples(runs)
    ours = [sample.first_event for sample in samples[OURS]]
    rows = [Row(f"{OURS}: attached", [sample.attached or 0 for sample in samples[OURS]], "s")]
    rows += [Row(f"{name}: first event", [one.first_event for one in each], "s") for name, each in samples.items()]
    theirs = {name: [one.first_event for one in each] for name, each in samples.items() if name != OURS}
    return [*rows, *(ratio(name, each, ours) for name, each in theirs.items())]


def memory(runs: int) -> list[Row]:
    """Megabytes."""
    samples = _samples(runs, [("skep from Python: NumPy batches", [sys.executable, "-c", READER])])
    rows = [Row(name, [one.megabytes for one in each], "MB") for name, each in samples.items()]
    return [*rows, *(ratio(row.name, row.values, rows[0].values) for row in rows[1:-1])]


def compile_new(runs: int) -> list[Row]:
    """Seconds from a new source to attached."""
    header = header_folder(identity())
    multiarch = f"/usr/include/{os.uname().machine}-linux-gnu"
    new: list[float] = []
    known: list[float] = []
    clang: list[float] = []
    with TemporaryDirectory() as folder:
        for number in range(runs + 1):
            source = Path(folder, f"new{number}.bpf.c")
            source.write_text(SOURCE.format(number=time.time_ns()))
            for seconds in (new, known):
                started = time.perf_counter()
                command = [str(SKEP), "run", str(source), "--count", "1", "--", "cat", "/etc/hostname"]
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                assert process.stderr is not None
                _skip_to(b"attached", process.stderr)
                seconds.append(time.perf_counter() - started)
                process.communicate()
            started = time.perf_counter()
            by_hand = ["clang", "-g", "-O2", "--target=bpf", f"-I{header}", "-idirafter", multiarch, "-c", str(source)]
            subprocess.run([*by_hand, "-o", os.devnull], check=True)
            clang.append(time.perf_counter() - started)
    # The first round warms the caches.
    rows = [
        Row("skep run, a new source: attached", new[1:], "s"),
        Row("skep run, the same again: attached", known[1:], "s"),
        Row("clang alone, with the whole vmlinux.h: compiled", clang[1:], "s"),
    ]
    return [*rows, ratio("clang alone", clang[1:], new[1:])]
