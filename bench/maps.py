"""bench/run maps: single entries of maps, through the typed API and by the system call alone, in turn; and opening.

A lookup and an update of each shape go round so often, in rounds that alternate; the best and the median round of each
count, in microseconds of CPU an operation: others who use the machine do not. An object of ten maps and ten programs is
opened and closed, in milliseconds.

    bench/maps.py [--runs N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import skep
from skep._native import ffi, lib
from skep.kernel.maps.table import Table

_TIMES = 5_000
_SOURCE = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct flow { u32 source, destination; u16 port; u8 protocol; };
struct seen { u64 packets, bytes; u32 first, last; };
struct task { u32 pid; char comm[16]; struct seen seen; };

#define MAP(name, kind, key_type, value_type) \\
	struct { \\
		__uint(type, BPF_MAP_TYPE_##kind); \\
		__uint(max_entries, 1024); \\
		__type(key, key_type); \\
		__type(value, value_type); \\
	} name SEC(".maps")

MAP(numbers, HASH, u32, u64);
MAP(array, ARRAY, u32, u64);
MAP(flows, HASH, struct flow, struct seen);
MAP(tasks, HASH, u32, struct task);
MAP(each_cpu, PERCPU_HASH, u32, u64);
"""
_MAP = "MAP(more_%d, HASH, u32, u64);\n"
_PROGRAM = 'SEC("raw_tp/sched_process_exit") int program_%d(void *ctx) { u32 key = %d;\n%s\n\treturn 0; }\n'
_USE = "\tif (bpf_map_lookup_elem(&%s, &key)) return 1;"
# Map -> a key, and a value as it is read.
_ENTRIES = {
    "numbers": (7, 70),
    "array": (7, 70),
    "flows": ((1, 2, 3, 4), (1, 2, 3, 4)),
    "tasks": (7, (7, "python", (1, 2, 3, 4))),
}


def main() -> None:
    """Prints a line for each operation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    spec = _spec()
    with spec.load() as loaded:
        print(f"{f'maps, {runs} runs each':46}{'min':>9}{'median':>9}")
        entries = _ENTRIES | {"each_cpu": (7, list(range(loaded.maps["each_cpu"].cpus)))}
        for name, (key, value) in entries.items():
            _compare(loaded.maps[name], key, value, runs)
    opened = [_open(spec) for _ in range(runs + 1)][1:]
    print(f"{'ten maps and ten programs: opened and closed':46}{min(opened):9.2f}{statistics.median(opened):9.2f} ms")


def _spec() -> skep.Spec:
    """Ten maps and ten programs."""
    names = [*_ENTRIES, "each_cpu", *(f"more_{number}" for number in range(5))]
    uses = [_USE % name for name in ("numbers", "array", "tasks", "each_cpu", "more_0")]
    source = _SOURCE + "".join(_MAP % number for number in range(5))
    source += "".join(_PROGRAM % (number, number, "\n".join(uses)) for number in range(10))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "maps.bpf.c"
        path.write_text(source + 'char LICENSE[] SEC("license") = "GPL";\n')
        spec = skep.compile(str(path))
    assert (len(spec.maps), len(spec.programs)) == (len(names), 10)
    return spec


def _compare(map_: Table, key: object, value: object, runs: int) -> None:
    map_[key] = value
    assert map_[key] == value
    [(raw_key, raw_value)] = [entry for entry in map_.raw_entries() if any(entry[1])]
    memory = ffi.new("unsigned char[]", len(raw_value))

    def look() -> None:
        map_[key]

    def write() -> None:
        map_[key] = value

    operations: dict[str, Callable[[], object]] = {
        "lookup": look,
        "lookup, system call": lambda: lib.bpf_map_lookup_elem(map_.fd, raw_key, memory),
        "update": write,
        "update, system call": lambda: lib.bpf_map_update_elem(map_.fd, raw_key, raw_value, 0),
    }
    rounds = [{name: _time(operation) for name, operation in operations.items()} for _ in range(runs)]
    for name in operations:
        times = [each[name] for each in rounds]
        print(f"{f'{map_.name}: {name}':46}{min(times):9.2f}{statistics.median(times):9.2f} us")


def _time(operation: Callable[[], object]) -> float:
    """Microseconds for one."""
    started = time.thread_time()
    for _ in range(_TIMES):
        operation()
    return (time.thread_time() - started) / _TIMES * 1e6


def _open(spec: skep.Spec) -> float:
    """Milliseconds to load and close."""
    started = time.perf_counter()
    with spec.load():
        pass
    return (time.perf_counter() - started) * 1e3


if __name__ == "__main__":
    main()
