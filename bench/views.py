"""views: what people look at, as whole commands: processes of skep, from their start to their end.

One million records, which a run has recorded, are replayed: to a table of twenty, to a table of the twenty largest, to
a histogram, to groups, to folded stacks and to Parquet. Then a live run counts and adds up 50,000 records a second in
groups, and shows them every second.

Seconds are CPU time, of all threads: what it would take on a machine with nothing else to do, or less.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.report import Row

SKEP = Path(sys.executable).with_name("skep")
SOURCE = Path(__file__).with_name("programs") / "views.bpf.c"
RECORDS = 1_000_000
# Records a second: of the run that is recorded, and of the live one.
RECORDED, LIVE = 200_000, 50_000
# Of the live one, in seconds: what is measured, and what passes before.
MEASURED, BEFORE = 20.0, 2.0
# Calls of getppid(2), a hundred times a second: their rate and their number.
CALLER = """
import os, sys, time
rate, left = int(sys.argv[1]), int(sys.argv[2])
due = time.monotonic()
while left > 0:
    for _ in range(min(rate // 100, left)):
        os.getppid()
    left -= rate // 100
    due += 0.01
    time.sleep(max(due - time.monotonic(), 0))
"""
VIEWS = {
    "a table of the first 20": ["--limit", "20"],
    "a table of the 20 largest": ["--sort", "-latency_ns", "--limit", "20"],
    "a histogram": ["--hist", "latency_ns"],
    "groups": ["--group-by", "comm,kind", "--sum", "bytes", "--count"],
    "folded stacks": ["-o", "folded"],
    "Parquet": ["--to", "views.parquet"],
}


def _caller(rate: int, count: int) -> list[str]:
    return ["--", sys.executable, "-S", "-c", CALLER, str(rate), str(count)]


def views(runs: int) -> list[Row]:
    """Recorded, and live."""
    seconds: dict[str, list[float]] = {name: [] for name in VIEWS}
    largest: dict[str, list[float]] = {name: [] for name in VIEWS}
    with TemporaryDirectory() as folder:
        path = f"{folder}/run.parquet"
        command = [str(SKEP), "record", "-q", str(SOURCE), "--to", path, *_caller(RECORDED, RECORDS)]
        subprocess.run(command, check=True)
        for _ in range(runs):
            for name, options in VIEWS.items():
                spent, peak = _replay(path, options, folder)
                seconds[name].append(spent)
                largest[name].append(peak)
    live = [_live() for _ in range(min(runs, 3))]
    return [
        *[Row(f"{RECORDS:,} records to {name}", values, "s") for name, values in seconds.items()],
        *[Row(f"the same, largest: {name}", values, "MB") for name, values in largest.items()],
        Row("live groups: CPU time", [cpu for cpu, _ in live], "%"),
        Row("live groups: records a second", [rate for _, rate in live], "M/s"),
    ]


def _replay(path: str, options: list[str], folder: str) -> tuple[float, float]:
    """CPU seconds, and the largest resident size in MB."""
    process = subprocess.Popen([SKEP, "replay", "-q", path, *options], stdout=subprocess.DEVNULL, cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    if status:
        raise RuntimeError(f"skep replay {options} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


def _live() -> tuple[float, float]:
    """Per cent of a CPU, and millions of records a second that were shown."""
    options = ["--group-by", "comm", "--sum", "bytes", "--count", "--interval", "1s"]
    count = int(LIVE * (MEASURED + BEFORE + 3))
    with subprocess.Popen(
        [SKEP, "run", SOURCE, *options, *_caller(LIVE, count)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "Ctrl-C ends" in line)
        time.sleep(BEFORE)
        before, started = _cpu_time(process.pid), time.monotonic()
        time.sleep(MEASURED)
        spent, passed = _cpu_time(process.pid) - before, time.monotonic() - started
        ended = next(line for line in process.stderr if " lost" in line)
    events, _, lost = ended.removeprefix("skep: ").replace(",", "").split()[:3]
    if int(events) + int(lost) != count or process.returncode not in {0, -signal.SIGINT}:
        raise RuntimeError(f"the live run shows something else: {ended}")
    return 100 * spent / passed, int(events) / count * LIVE / 1e6


def _cpu_time(pid: int) -> float:
    """Seconds of a process, without its children."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
