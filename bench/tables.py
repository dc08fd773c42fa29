"""maps, percpu: maps read whole, beside a walk from key to key.

maps      a hash of 1,000,000 entries, u64 -> 32 bytes, to arrays and to Arrow
percpu    a per-CPU hash of 100,000 entries, the values of all CPUs added up
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import skep
from bench.report import Row, ratio
from skep.base.schema import dtype_of

SOURCE = str(Path(__file__).with_name("programs") / "maps.bpf.c")
ENTRIES = 1_000_000
CPU_ENTRIES = 100_000


def _seconds(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started


def _walk(table: Any) -> None:
    for _ in table.raw_entries():
        pass


def maps(runs: int) -> list[Row]:
    """A large hash."""
    with skep.compile(SOURCE).load() as loaded:
        table: Any = loaded.maps["table"]
        keys = np.arange(ENTRIES, dtype="u8")
        values = np.zeros(ENTRIES, dtype_of(table.value_type))
        values["calls"] = keys
        written: list[float] = []
        arrays: list[float] = []
        tables: list[float] = []
        walks: list[float] = []
        for _ in range(runs + 1):
            written.append(_seconds(lambda: table.write_array(keys, values)))
            arrays.append(_seconds(table.to_array))
            tables.append(_seconds(table.to_arrow))
            walks.append(_seconds(lambda: _walk(table)))
    return [
        Row(f"skep: {ENTRIES:,} entries written", written[1:], "s"),
        Row("skep: read to arrays", arrays[1:], "s"),
        Row("skep: read to Arrow", tables[1:], "s"),
        Row("a walk from key to key, in Python", walks[1:], "s"),
        ratio("a walk", walks[1:], tables[1:]),
    ]


def percpu(runs: int) -> list[Row]:
    """Values of all CPUs."""
    with skep.compile(SOURCE).load() as loaded:
        table: Any = loaded.maps["each"]
        value = [{"calls": cpu, "bytes": cpu, "errors": 0, "last": 0, "time": 0} for cpu in range(table.cpus)]
        for key in range(CPU_ENTRIES):
            table[key] = value
        added: list[float] = []
        walks: list[float] = []
        for _ in range(runs + 1):
            added.append(_seconds(lambda: table.to_array(cpus="sum")))
            walks.append(_seconds(lambda: sum(each.sum().calls for each in table.values())))
    return [
        Row(f"skep: {CPU_ENTRIES:,} entries, added up in C", added[1:], "s"),
        Row("a walk from key to key, added up in Python", walks[1:], "s"),
        ratio("a walk", walks[1:], added[1:]),
    ]
