"""ring, rows, ndjson, mixed, arrow, perf, loss, steady: what records cost on their way from the kernel to Python.

A kernel program of our own fills a ring of 16 MiB, or the perf buffer of one CPU, when it is told to, and is then read
empty. Its records have eight fields, 64 bytes: five numbers, an errno and two texts.

ring      to NumPy arrays whose columns are used; beside a C program whose libbpf callback copies each record
rows      to plain tuples, to typed rows, and to dicts with what their numbers stand for
ndjson    to lines of JSON, written to /dev/null
mixed     of two types in turn, grouped to arrays and in order to rows
arrow     to Arrow tables
perf      from a perf buffer to arrays; beside libbpf's perf buffer, called back and read as BCC does it: a cast by
          ctypes, and attributes
loss      from a producer on the other CPU that never pauses for 30 seconds: records a second, those lost, the CPU time
          of the reader
steady    memory while 200,000 records a second are read, for as many minutes as runs are asked for
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import skep
from bench.report import Row, ratio
from skep._native import ffi, lib
from skep.stream.batch import Batch
from skep.stream.kinds import Kinds
from skep.stream.reader import Reader
from skep.stream.resolve import resolve
from skep.view.dicts import Dicts
from skep.view.ndjson import Ndjson

HERE = Path(__file__).parent
COUNT = 200_000
# Records in a row, and how often one run drains them: enough for the clock.
FILLED = {1_000: 100, 30_000: 10, 10_000_000: 1}
# Seconds of a live run, and how many at most.
LIVE, LIVES = 30.0, 5
# Records a second for a long run.
PACE = 200_000
# What fits a perf buffer of 256 KiB, and how often it is filled in a run.
FILL, FILLS = 2500, 30


def produce(program: int) -> None:
    """Runs the program of that file descriptor, which sends its records."""
    options = ffi.new("struct bpf_test_run_opts *", {"sz": ffi.sizeof("struct bpf_test_run_opts")})
    error = lib.bpf_prog_test_run_opts(program, options)
    if error:
        raise OSError(-error, os.strerror(-error))


@contextmanager
def _loaded(name: str, count: int) -> Iterator[skep.Object]:
    spec = skep.compile(str(HERE / f"programs/{name}.bpf.c"))
    spec.variables["count"].value = count
    with spec.load() as loaded:
        yield loaded


def _drain(loaded: skep.Object, reader: Reader, use: Callable[[Batch], object], fills: int = 1) -> float:
    """Nanoseconds a record, without those that it takes to look at the clock."""
    seen, spent = 0, -fills * _clock()
    for _ in range(fills):
        produce(loaded.programs["produce"].fd)
        started = time.thread_time()
        for batch in reader.rest():
            use(batch)
            seen += batch.count
        spent += time.thread_time() - started
    return spent * 1e9 / seen


def _clock() -> float:
    """Seconds between two looks at the clock of this thread's CPU time, a system call."""
    return min(-time.thread_time() + time.thread_time() for _ in range(50))


def _exhaust(rows: Iterator[Any]) -> None:
    for _ in rows:
        pass


def _arrays(batch: Batch) -> Any:
    return batch.array


def _columns(batch: Batch) -> Any:
    return batch.array["number"].max()


def ring(runs: int) -> list[Row]:
    """To arrays, beside C; and from few records to many."""
    ours: dict[str, list[float]] = {name: [] for name in ("numbers", "arrays", "column", "lent")}
    copied: list[float] = []
    used: list[float] = []
    with (
        _loaded("ring", COUNT) as loaded,
        Reader(loaded) as reader,
        _loaded("ring", COUNT) as other,
        Reader(other, copy=False) as lender,
        _loaded("numbers", COUNT) as plain,
        Reader(plain) as copier,
        _peer("ring", loaded, COUNT) as peer,
    ):
        for _ in range(runs + 1):
            for values, value in zip((copied, used), peer(), strict=True):
                values.append(value)
            ours["numbers"].append(_drain(plain, copier, _arrays))
            ours["arrays"].append(_drain(loaded, reader, _arrays))
            ours["column"].append(_drain(loaded, reader, _columns))
            ours["lent"].append(_drain(other, lender, _columns))
    rows = [
        Row("skep: arrays", ours["arrays"][1:], "ns"),
        Row("skep: arrays of numbers alone", ours["numbers"][1:], "ns"),
        Row("skep: arrays, a column used", ours["column"][1:], "ns"),
        Row("skep: the same, buffer lent", ours["lent"][1:], "ns"),
        Row("C on libbpf: a callback that copies to a table", copied[1:], "ns"),
        Row("C on libbpf: the same, a column used", used[1:], "ns"),
        ratio("C on libbpf, of arrays", copied[1:], ours["arrays"][1:]),
        ratio("C on libbpf, of numbers alone", copied[1:], ours["numbers"][1:]),
        ratio("C on libbpf, a column used", used[1:], ours["column"][1:]),
    ]
    growth = {count: _growth(count, runs) for count in FILLED}
    rows += [Row(f"skep: {count:,} records", values, "ns") for count, values in growth.items()]
    few, *_, many = growth.values()
    return [*rows, Row("few records beside many, a record", [a / b for a, b in zip(few, many, strict=True)], "x")]


def _growth(count: int, runs: int) -> list[float]:
    """Nanoseconds a record, of so many in a row, the first fill left out."""
    each = min(count, COUNT)
    with _loaded("ring", each) as loaded, Reader(loaded) as reader:
        return [_drain(loaded, reader, _columns, FILLED[count] * count // each) for _ in range(runs + 1)][1:]


@contextmanager
def _peer(name: str, loaded: skep.Object, count: int) -> Iterator[Callable[[], list[float]]]:
    """A C program of bench/peers, compiled now; each call is one round: nanoseconds a record, copied, and used."""
    with TemporaryDirectory() as folder:
        program, kernel_file = f"{folder}/{name}", f"{folder}/{name}.bpf.o"
        source = str(HERE / f"peers/{name}.c")
        subprocess.run(["gcc", "-O2", "-o", program, source, "-lbpf"], check=True)
        Path(kernel_file).write_bytes(bytes(loaded.spec.data))
        with subprocess.Popen(
            [program, kernel_file, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:

            def one_round() -> list[float]:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                return [float(value) for value in process.stdout.readline().split()[:2]]

            yield one_round
            assert process.stdin is not None
            process.stdin.close()


def _each(program: str, runs: int, uses: dict[str, Callable[[Batch], object]], **options: Any) -> list[Row]:
    values: dict[str, list[float]] = {name: [] for name in uses}
    with _loaded(program, COUNT) as loaded, Reader(loaded, **options) as reader:
        for _ in range(runs + 1):
            for name, use in uses.items():
                values[name].append(_drain(loaded, reader, use))
    return [Row(f"skep: {name}", each[1:], "ns") for name, each in values.items()]


def rows(runs: int) -> list[Row]:
    """To Python's objects."""
    view = Dicts(resolve())
    return _each(
        "ring",
        runs,
        {
            "tuples": lambda batch: _exhaust(batch.tuples()),
            "typed rows": lambda batch: _exhaust(batch.rows()),
            "dicts with meaning": lambda batch: _exhaust(view.render(batch.schema, batch.values())),
        },
    )


def ndjson(runs: int) -> list[Row]:
    """To lines of JSON."""
    view = Ndjson(resolve())
    with open(os.devnull, "w") as null:
        (row,) = _each("ring", runs, {"NDJSON": lambda batch: null.write(view.render(batch.schema, batch.values()))})
    return [row, Row("skep: NDJSON, on one CPU", [1000 / value for value in row.values], "M/s")]


def mixed(runs: int) -> list[Row]:
    """Of two types."""
    return [
        *_each("mixed", runs, {"two types, grouped to arrays": _columns}, split=Kinds.groups),
        *_each(
            "mixed", runs, {"two types, in order to rows": lambda batch: _exhaust(batch.rows())}, split=Kinds.together
        ),
        *_each("mixed", runs, {"the same, each run a batch": lambda batch: _exhaust(batch.rows())}),
    ]


def arrow(runs: int) -> list[Row]:
    """To Arrow tables."""
    return _each("ring", runs, {"Arrow tables": Batch.to_arrow})


class _Record(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("pid", "tid", "uid", "flags", "number")),
        ("ret", ctypes.c_int32),
        ("comm", ctypes.c_char * 16),
        ("filename", ctypes.c_char * 24),
    )


def perf(runs: int) -> list[Row]:
    """From a perf buffer."""
    ours: list[float] = []
    merged: list[float] = []
    theirs: list[float] = []
    for values, merge in ((ours, False), (merged, True)):
        with _loaded("perf", FILL) as loaded, Reader(loaded, merge=merge) as reader:
            values += [_drain(loaded, reader, _columns, FILLS) for _ in range(runs + 1)]
            assert not reader.lost, "records were lost"
    with _loaded("perf", FILL) as loaded:
        theirs += _called_back(loaded, runs + 1)
    return [
        Row("skep: perf buffer to arrays", ours[1:], "ns"),
        Row("skep: those of all CPUs merged by time", merged[1:], "ns"),
        Row("libbpf called back, cast and read as by BCC", theirs[1:], "ns"),
        ratio("reading as BCC does", theirs[1:], ours[1:]),
    ]


def _called_back(loaded: skep.Object, runs: int) -> list[float]:
    library = ctypes.CDLL("libbpf.so.1", use_errno=True)
    seen = 0

    def called(_context: int, _cpu: int, data: int, _size: int) -> None:
        nonlocal seen
        seen += 1
        record = ctypes.cast(data, ctypes.POINTER(_Record)).contents
        _ = (record.pid, record.ret, record.comm, record.filename)

    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32)(called)
    new = library.perf_buffer__new
    new.restype = ctypes.c_void_p
    new.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    buffer = new(loaded.maps["events"].fd, 64, ctypes.cast(callback, ctypes.c_void_p), None, None, None)
    consume = library.perf_buffer__consume
    consume.argtypes = [ctypes.c_void_p]
    values = []
    for _ in range(runs):
        seen, spent = 0, 0.0
        for _ in range(FILLS):
            produce(loaded.programs["produce"].fd)
            started = time.thread_time()
            consume(buffer)
            spent += time.thread_time() - started
        values.append(spent * 1e9 / seen)
    free = library.perf_buffer__free
    free.argtypes = [ctypes.c_void_p]
    free(buffer)
    return values


def loss(runs: int) -> list[Row]:
    """With a live producer."""
    rates: list[float] = []
    lost: list[float] = []
    busy: list[float] = []
    for _ in range(min(runs, LIVES)):
        with _loaded("live", 10_000) as loaded, _producing(loaded, LIVE), Reader(loaded, copy=False) as reader:
            count, started = 0, time.thread_time()
            for batch in reader.batches(timeout=LIVE + 0.5):
                count += batch.count
            spent = time.thread_time() - started
            rates.append(count / LIVE / 1e6)
            lost.append(float(loaded.variables["lost"].value))
            busy.append(100 * spent / LIVE)
    return [
        Row("records read", rates, "M/s"),
        Row("records lost", lost, "in all"),
        Row("CPU time of the reader", busy, "%"),
    ]


def steady(runs: int) -> list[Row]:
    """Memory over as many minutes, at 200,000 records a second."""
    resident: list[float] = []
    rates: list[float] = []
    with (
        _loaded("live", PACE // 100) as loaded,
        _producing(loaded, 60.0 * runs, pause=0.01),
        Reader(loaded) as reader,
    ):
        for _ in range(runs):
            count, started = 0, time.monotonic()
            for batch in reader.batches(timeout=60):
                count += len(batch.array)
            rates.append(count / (time.monotonic() - started) / 1e6)
            with open("/proc/self/statm") as file:
                resident.append(int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6)
        lost = float(loaded.variables["lost"].value)
    return [
        Row("records read", rates, "M/s"),
        Row("records lost", [lost], "in all"),
        Row("resident memory, minute by minute", resident, "MB"),
        Row("growth since the first minute", [resident[-1] - resident[0]], "MB"),
    ]


@contextmanager
def _producing(loaded: skep.Object, seconds: float, pause: float = 0) -> Iterator[None]:
    """Runs the program again and again on the other CPU, for so long; every `pause` seconds, or without one."""
    # A fork has none of what its parent has loaded.
    program = os.dup(loaded.programs["produce"].fd)
    started = time.monotonic()
    child = os.fork()
    if not child:
        os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)})
        following = started
        while following < started + seconds:
            produce(program)
            following = max(following + pause, time.monotonic() if not pause else 0)
            time.sleep(max(following - time.monotonic(), 0))
        os._exit(0)
    os.close(program)
    os.sched_setaffinity(0, {0})
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
