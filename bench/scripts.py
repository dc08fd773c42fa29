"""scripts: the same scripts under BCC itself and under `skep bcc`, one after the other, on this machine.

hello           a tracepoint and a perf buffer (programs/hello.py), to "attached", and to its first event
gethostlatency  of Debian's bpfcc-tools: uprobes; to its header
memleak         the same, of one process: 20 functions of its allocator; to its header, and ended when it has attached

Each is started with nothing in skep's cache, and again with what that has left; and as a new script where others have
run: only which clang will do is known. BCC keeps nothing from one start to the next. It needs headers
of the kernel; there are none of this one, so it is given those of Debian's 6.12 (`bench.bcc.unpack`), which it takes as
well where no type of the kernel is looked into.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from bench.bcc import unpack
from bench.report import Row, ratio
from bench.startup import OPENER, SKEP

HELLO = Path(__file__).with_name("programs") / "hello.py"
# Release whose headers BCC gets.
HEADERS = "6.12"
# Of skep, what is in its cache: nothing, all, and what it has found out about the compiler.
WAYS = (", nothing cached", "", ", new script")
# Of another kernel, headers tell much to stderr.
BCC_PYTHON = ["/usr/bin/python3", "-W", "ignore"]


class Start:
    """One start of a script: seconds to each of some texts; CPU seconds of all it runs, and peak MB of the largest."""

    def __init__(self, command: list[str], texts: tuple[bytes, ...], env: dict[str, str]) -> None:
        started = time.perf_counter()
        self.seconds: list[float] = []
        with TemporaryFile() as said:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=said, env={**os.environ, "PYTHONUNBUFFERED": "1", **env}
            )
            assert process.stdout is not None
            for text in texts:
                while text not in (line := process.stdout.readline()):
                    if not line:
                        said.seek(0)
                        sys.exit(f"{command} ended without {text!r}: {said.read()[-2000:].decode()}")
                self.seconds.append(time.perf_counter() - started)
            # Not by an interrupt: BCC forgets about one that comes while it calls back.
            process.terminate()
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = 0
            process.stdout.close()
        self.spent = usage.ru_utime + usage.ru_stime
        self.megabytes = usage.ru_maxrss / 1024


def scripts(runs: int) -> list[Row]:
    """Seconds and megabytes of each script, three ways."""
    unpacked = unpack(HEADERS)
    tools = unpacked / "usr/sbin"
    theirs = {
        "BCC_KERNEL_SOURCE": str(unpacked / "headers"),
        "PYTHONPATH": str(unpacked / "usr/lib/python3/dist-packages"),
    }
    opener = subprocess.Popen([sys.executable, "-c", OPENER])
    pid = str(opener.pid)
    try:
        given = (
            ("hello", [str(HELLO), pid], {"attached": b"attached", "first event": b"opens"}),
            ("gethostlatency", [str(tools / "gethostlatency-bpfcc")], {"attached": b"LATms"}),
            # Not killed while it attaches: the kernel would leak that uprobe ("failed to unregister", Linux 6.12), and
            # refuse all others of the same function until the machine is started anew.
            ("memleak", [str(tools / "memleak-bpfcc"), "-p", pid, "1"], {"attached": b"Attaching", "": b"Top"}),
        )
        rows, ratios = [], []
        for name, script, texts in given:
            ways: dict[str, list[Start]] = {way: [] for way in (*(f"skep{way}" for way in WAYS), "BCC")}
            # Python's modules and the files of both are read once before.
            for number in range(runs + 1):
                with TemporaryDirectory() as cache:
                    command = [str(SKEP), "bcc", *script], tuple(texts.values()), {"XDG_CACHE_HOME": cache}
                    each = [Start(*command) for _ in range(2)]
                    for kept in Path(cache, "skep").iterdir():
                        if kept.name != "compilers":
                            shutil.rmtree(kept)
                    each.append(Start(*command))
                each.append(Start([*BCC_PYTHON, *script], tuple(texts.values()), theirs))
                if number:
                    for starts, start in zip(ways.values(), each, strict=True):
                        starts.append(start)
            for place, what in enumerate(filter(None, texts)):
                values = {way: [start.seconds[place] for start in starts] for way, starts in ways.items()}
                rows += [Row(f"{name}, {what}: {way}", spent, "s") for way, spent in values.items()]
                told = "" if not place else f", {what}"
                ratios += [ratio(f"BCC's {name}{told}{way}", values["BCC"], values[f"skep{way}"]) for way in WAYS]
            rows += [
                Row(f"{name}, CPU time: {way}", [start.spent for start in starts], "s") for way, starts in ways.items()
            ]
            sizes = {way: [start.megabytes for start in starts] for way, starts in ways.items()}
            rows += [Row(f"{name}, largest: {way}", size, "MB") for way, size in sizes.items()]
            ratios.append(ratio(f"BCC's {name}, largest", sizes["BCC"], sizes["skep"]))
    finally:
        opener.kill()
        opener.wait()
    return [*rows, *ratios]
