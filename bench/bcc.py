"""bcc: BCC itself as a peer, where it has headers of its kernel: in a guest with Debian's 6.1.

startup   seconds from the start of `skep run opensnoop`, bpftrace's one-liner and BCC's opensnoop to "attached", or to
          the first event, or to its header
perf      CPU time of a record of 64 bytes, from a perf buffer of 256 KiB to arrays, and to BCC's callback, which reads
          four attributes
lost      of more records than that buffer holds, how many nobody accounts for

BCC and the headers come from Debian's packages, which are unpacked into the cache; nothing is installed. A guest is
emulated, ten to twenty times slower: its times say nothing, their ratios do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import skep
from bench.report import Row, ratio
from bench.startup import OPENER, OURS, Sample, commands
from bench.streams import FILL, produce
from skep.stream.reader import Reader
from skep.vm import fetch, run

PROJECT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "skep" / "bcc-itself"
KERNEL = "6.1"
# Seconds of the guest.
LIMIT = 3600
FILLS = 4
PAGES = 64
# The record of bench/programs/record.h, sent as perf.bpf.c sends it.
TEXT = """
struct record {
	u32 pid, tid, uid, flags, number;
	s32 ret;
	char comm[16];
	char filename[24];
};
BPF_PERF_OUTPUT(events);
int produce(void *ctx)
{
	struct record record;

	for (u32 number = 0; number < COUNT; number++) {
		__builtin_memset(&record, 0, sizeof(record));
		record.pid = 4242;
		record.number = number;
		record.ret = number & 7 ? 3 : -2;
		__builtin_memcpy(record.comm, "postgres", 9);
		__builtin_memcpy(record.filename, "/var/lib/data/000", 18);
		events.perf_submit(ctx, &record, sizeof(record));
	}
	return 0;
}
"""


def bcc(runs: int) -> list[Row]:
    """Boots the guest, and gives what it measured."""
    unpacked = unpack(KERNEL)
    with TemporaryDirectory() as folder:
        spec = skep.compile(str(PROJECT / "bench/programs/perf.bpf.c"))
        Path(folder, "perf.bpf.o").write_bytes(bytes(spec.data))
        command = [sys.executable, "-m", "bench.bcc", str(runs)]
        env = {"BCC_KERNEL_SOURCE": str(unpacked / "headers"), "SKEP_BCC": str(unpacked)}
        if run(command, kernel=KERNEL, timeout=LIMIT, results=Path(folder), cwd=PROJECT, env=env):
            sys.exit("bench/run bcc: the guest failed")
        found: dict[str, list[float]] = json.loads(Path(folder, "values").read_text())
    seconds = {name.removeprefix("startup "): each for name, each in found.items() if name.startswith("startup ")}
    ours = seconds[OURS]
    return [
        *(Row(f"{name}: in the guest", each, "s") for name, each in seconds.items()),
        *(ratio(name, each, ours) for name, each in seconds.items() if name != OURS),
        Row("skep: perf buffer to arrays, in the guest", found["skep"], "ns"),
        Row("BCC: perf buffer to attributes, in the guest", found["bcc"], "ns"),
        ratio("BCC's perf buffer", found["bcc"], found["skep"]),
        Row("skep: records that nobody accounts for", found["skep missing"], "in all"),
        Row("BCC: records that nobody accounts for", found["bcc missing"], "in all"),
    ]


def unpack(kernel: str) -> Path:
    """BCC, and the headers of a kernel in one tree, as BCC takes them.

    Args:
        kernel: of a guest, such as "6.1".
    """
    release = fetch(kernel).release
    folder = CACHE / release
    if folder.exists():
        return folder
    partial = CACHE / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    headers = [f"linux-headers-{release}", f"linux-headers-{release.partition('-cloud')[0]}-common"]
    subprocess.run(["apt-get", "-qq", "download", "bpfcc-tools", "python3-bpfcc", *headers], cwd=partial, check=True)
    for package in partial.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, partial], check=True)
        package.unlink()
    tools = shutil.ignore_patterns("scripts", "tools")
    for name in headers:
        shutil.copytree(partial / "usr/src" / name, partial / "headers", ignore=tools, dirs_exist_ok=True)
    partial.rename(folder)
    return folder


def _guest(runs: int) -> None:
    folder = Path(os.environ["SKEP_BCC"])
    results = Path(os.environ["SKEP_RESULTS"])
    sys.path.append(str(folder / "usr/lib/python3/dist-packages"))
    values = {**_startup(folder, runs), **_perf(results / "perf.bpf.o", runs)}
    (results / "values").write_text(json.dumps(values))


def _startup(folder: Path, runs: int) -> dict[str, list[float]]:
    opener = subprocess.Popen([sys.executable, "-c", OPENER])
    try:
        ours, shortest, _ = commands(opener.pid)
        script = str(folder / "usr/sbin/opensnoop-bpfcc")
        search = f"PYTHONPATH={folder / 'usr/lib/python3/dist-packages'}"
        theirs = ["env", search, "/usr/bin/python3", "-u", script, "-p", str(opener.pid)]
        values: dict[str, list[float]] = {}
        # No round to warm up: each takes minutes, and reading files is little beside emulation.
        for _ in range(runs):
            for name, sample in (
                (ours[0], Sample(ours[1], ours[2]).attached or 0),
                (shortest[0], Sample(shortest[1], None).first_event),
                ("BCC's opensnoop", Sample(theirs, None, b"COMM").first_event),
            ):
                values.setdefault(f"startup {name}", []).append(sample)
    finally:
        opener.kill()
        opener.wait()
    return values


def _perf(built: Path, runs: int) -> dict[str, list[float]]:
    BPF: Any = import_module("bcc").BPF  # noqa: N806 - a class
    spec = skep.open(str(built))
    spec.variables["count"].value = FILL
    program = BPF(text=TEXT.replace("COUNT", str(FILL)))
    sender = program.load_func("produce", BPF.RAW_TRACEPOINT)
    lost = seen = 0

    def called(_cpu: int, data: Any, _size: int) -> None:
        nonlocal seen
        record = program["events"].event(data)
        _ = (record.pid, record.ret, record.comm, record.filename)
        seen += 1

    def missed(count: int) -> None:
        nonlocal lost
        lost += count

    program["events"].open_perf_buffer(called, page_cnt=PAGES, lost_cb=missed)
    found: dict[str, list[float]] = {"skep": [], "bcc": [], "skep missing": [], "bcc missing": []}
    with spec.load() as loaded, Reader(loaded) as reader:

        def ours() -> int:
            return sum(len(batch.array["number"]) for batch in reader.rest())

        def theirs() -> int:
            nonlocal seen
            seen = 0
            program.perf_buffer_consume()
            return seen

        # Once before, to import NumPy and to make classes of records.
        for _ in range(runs + 1):
            found["skep"].append(_nanoseconds(loaded.programs["produce"].fd, ours))
            found["bcc"].append(_nanoseconds(sender.fd, theirs))
        found["skep"].pop(0)
        found["bcc"].pop(0)
        both: list[tuple[str, int, Callable[[], int], Callable[[], int]]] = [
            ("skep", loaded.programs["produce"].fd, ours, lambda: reader.lost),
            ("bcc", sender.fd, theirs, lambda: lost),
        ]
        for name, fd, read, total in both:
            for _ in range(runs):
                before = total()
                for _ in range(3):
                    produce(fd)
                got = read()
                found[f"{name} missing"].append(float(3 * FILL - got - (total() - before)))
    return found


def _nanoseconds(fd: int, read: Callable[[], int]) -> float:
    """Of CPU time, a record."""
    count, spent = 0, 0.0
    for _ in range(FILLS):
        produce(fd)
        started = time.thread_time()
        count += read()
        spent += time.thread_time() - started
    return spent * 1e9 / count


if __name__ == "__main__":
    _guest(int(sys.argv[1]))
