"""tools: what each tool of the gallery costs whom it watches, and itself.

added   nanoseconds that its programs take for an event, above programs that do nothing on the same hooks, as the kernel
        counts both (bpf_enable_stats); the event is provoked by processes of ours (programs/provoke.c), 10,000 times a
        second or as often as they can, and where a tool filters by process, it is told theirs
maps    what the kernel accounts for its maps (fdinfo, memlock), in kilobytes
CPU     of `skep run TOOL` meanwhile, its output thrown away, in percent of one
rate    events a second
theirs  the same as added, of the tool of this name in libbpf-tools

Where the kernel lacks a tool's hook, the tool is loaded in a guest under 6.12: there its maps alone are measured, as
emulated nanoseconds say nothing.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.report import Row
from bench.watching import Account, Producer, peer, running
from skep._native import lib
from skep.session.api import Spec, read_spec, tool_names
from skep.spec.words import CGROUP_ARRAY
from skep.vm import run
from tests.disks import made_disk
from tests.network import Network, inside

PROJECT = Path(__file__).resolve().parents[1]
KERNEL = "6.12"
# Seconds of the guest.
LIMIT = 600
# Seconds of a measurement, and the events of one.
SLICE, RATE = 0.5, 10_000
# What programs return that do nothing, where it is not 0: XDP_PASS, TC_ACT_UNSPEC, allowed.
LETS_PASS = {"xdp": 2, "tc": -1, "cgroup_skb": 1}


class Tool:
    """How a tool is measured.

    Args:
        what: is provoked.
        hooks: what its hooks are told, for programs that do nothing as well. %s stands for the provoking program.
        filters: what it is told beside. %d stands for the process that provokes.
    """

    def __init__(self, what: str, *filters: str, hooks: Sequence[str] = ()) -> None:
        self.what = what
        self.filters = filters
        self.hooks = hooks


MINE = ("--pid-target", "%d")
NEAR = ("--iface", "near")
PROBED = ("--binary", "%s")
TOOLS = {
    "bashreadline": Tool("line", *MINE, hooks=("--attach", "typed=uretprobe/%s:readline")),
    "behaviour": Tool("call", *MINE),
    "biolatency": Tool("request", "--disk", "DISK"),
    "biosize": Tool("request", "--disk", "DISK"),
    "biosnoop": Tool("request", "--disk", "DISK"),
    "bootstrap": Tool("exec"),
    "callcount": Tool("function", hooks=("--attach", "count=uprobe/%s:step")),
    "callcount-percpu": Tool("function", hooks=("--attach", "count=uprobe/%s:step")),
    "callcount-pinned": Tool("function", "--pin-root", "BPFFS", hooks=("--attach", "count=uprobe/%s:step")),
    "cgroupexec": Tool("exec", "--cgroup", "CGROUP"),
    "egresscount": Tool("packet", hooks=("--cgroup", "CGROUP")),
    "execsnoop": Tool("exec"),
    "exitsnoop": Tool("exit"),
    "funcdepth": Tool("function", *MINE, hooks=(*PROBED, "--function", "step")),
    "hello": Tool("write", "--pid-filter", "%d"),
    "httpusdt": Tool("query", *MINE, hooks=(*PROBED, "--function", "http:request")),
    "javagc": Tool("collection", *MINE, hooks=PROBED),
    "offcputime": Tool("switch", *MINE),
    "opensnoop": Tool("open", *MINE),
    "pktsnoop": Tool("packet", "--port-target", "4321", hooks=NEAR),
    "profile": Tool("sample", *MINE, hooks=("--freq", str(RATE // (os.cpu_count() or 1)))),
    "runqlat": Tool("switch", *MINE),
    "runqslower": Tool("switch", *MINE),
    "sigsnoop": Tool("signal", *MINE),
    "sslsniff": Tool("message", *MINE, hooks=PROBED),
    "strlencount": Tool("text", *MINE, hooks=("--attach", "asked=uprobe/%s:length")),
    "syncsnoop": Tool("sync", *MINE),
    "syscalls": Tool("call", *MINE),
    "tailcalls": Tool("call", *MINE, "--fill", "handlers=110:seen"),
    "taskswitch": Tool("switch", *MINE),
    "tcingress": Tool("packet", hooks=NEAR),
    "tcpstates": Tool("change", "--port-target", "4321"),
    "xdpcount": Tool("packet", hooks=NEAR),
    "xdpsources": Tool("packet", hooks=NEAR),
}
"""Those whose hooks can be provoked without kprobes, fentry and LSM: the machine that this runs on has none."""

# The options of those in libbpf-tools, and what they say once they are attached.
PEERS = {
    "biolatency": ("Ctrl-C",),
    "execsnoop": ("ARGS",),
    "opensnoop": ("PATH", "-p", "%d"),
    "runqlat": ("Ctrl-C", "-p", "%d"),
    "runqslower": ("Tracing", "-p", "%d"),
    "tcpstates": ("NEWSTATE",),
}


def nothing(spec: Spec) -> str:
    """The source of programs that do nothing, on the hooks of another."""
    lines = ['#include "vmlinux.h"', "#include <bpf/bpf_helpers.h>"]
    if any(program.hook.kind == "usdt" for program in spec.programs.values()):
        lines += ["#include <bpf/bpf_tracing.h>", "#include <bpf/usdt.bpf.h>"]
    for program in spec.programs.values():
        if program.note.value("link") is not False:
            passes = LETS_PASS.get(program.section.partition("/")[0], 0)
            lines.append(f'SEC("{program.section}") int {program.name}(void *ctx) {{ return {passes}; }}')
    return "\n".join([*lines, 'char LICENSE[] SEC("license") = "GPL";', ""])


class Bench:
    """Whom tools watch: a network, a disk, a cgroup of our own, and the program that provokes.

    Args:
        folder: for what is made.
        stack: takes it away again.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._program = str(folder / "provoke")
        source, include = PROJECT / "bench/programs/provoke.c", f"-I{PROJECT / 'tests/programs'}"
        subprocess.run(["cc", "-O2", "-o", self._program, include, source], check=True)
        network = Network()
        stack.callback(network.remove)
        network.make()
        self._network = network
        # Ours ask for them by themselves.
        stack.callback(os.close, lib.bpf_enable_stats(0))
        stack.enter_context(inside(network.ours))
        # Packets for which nobody is there would be answered.
        receiver = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        receiver.bind(("10.99.0.1", 4321))
        self._places = {
            "DISK": stack.enter_context(made_disk(folder / "disk")),
            "CGROUP": str(stack.enter_context(_cgroup())),
            "BPFFS": str(stack.enter_context(_bpffs(folder / "bpffs"))),
        }

    def measure(self, name: str, runs: int) -> dict[str, list[float]]:
        """Of a tool: what its programs add, its maps, its CPU time and the rate.

        Args:
            name: of the tool.
            runs: how often.
        """
        tool, spec = TOOLS[name], read_spec(name)
        source = self._folder / "nothing.bpf.c"
        source.write_text(nothing(spec))
        producer = self._producer(tool.what)
        try:
            producer.provoke(100)
            count, seconds = producer.provoke(500)
            count = round(min(count / seconds, RATE) * SLICE)
            hooks = self._words(tool.hooks, producer.pid)
            empty = statistics.median(self._rounds(running(str(source), hooks), producer, count, runs)["a run"])
            options = [*hooks, *self._words(tool.filters, producer.pid)]
            found = self._rounds(running(name, options), producer, count, runs, empty)
            if name in PEERS:
                begun, *options = self._words(PEERS[name], producer.pid)
                theirs = self._rounds(peer(name, begun, options), producer, count, runs, empty)
                found["theirs"] = theirs["added"]
        finally:
            producer.end()
        return found

    def _producer(self, what: str) -> Producer:
        joined = ["sh", "-c", f'echo 0 > {self._places["CGROUP"]}/cgroup.procs && exec "$@"', "sh"]
        elsewhere = ["ip", "netns", "exec", self._network.theirs] if what == "packet" else []
        where = {"request": [self._places["DISK"]], "packet": ["10.99.0.1"], "change": ["127.0.0.1"]}.get(what, [])
        return Producer([*joined, *elsewhere, self._program, what, *where])

    def _words(self, words: Sequence[str], pid: int) -> list[str]:
        return [self._places.get(word, word.replace("%s", self._program).replace("%d", str(pid))) for word in words]

    def _rounds(
        self,
        started: AbstractContextManager[int],
        producer: Producer,
        count: int,
        runs: int,
        empty: float = 0,
    ) -> dict[str, list[float]]:
        """Of a process that has programs; `empty` is what a run of a program that does nothing takes."""
        found: dict[str, list[float]] = {"a run": [], "added": [], "maps": [], "CPU": [], "rate": []}
        with started as pid:
            producer.provoke(count // 5)
            for _ in range(runs):
                before = Account(pid)
                events, seconds = producer.provoke(count)
                after = Account(pid)
                ran, took = after.runs - before.runs, after.nanoseconds - before.nanoseconds
                found["a run"].append(took / ran)
                # Others on this machine may have their programs run, too: what nothing costs them is not counted.
                found["added"].append((took - ran * empty) / events)
                found["CPU"].append((after.cpu - before.cpu) / seconds * 100)
                found["rate"].append(events / seconds)
            found["maps"].append(Account(pid).memory / 1e3)
        return found


@contextmanager
def _cgroup() -> Iterator[Path]:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    folder = Path(next(line[1] for line in mounts if line[2] == "cgroup2"), f"skep-bench-{os.getpid()}")
    folder.mkdir()
    try:
        yield folder
    finally:
        folder.rmdir()


@contextmanager
def _bpffs(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


UNITS = {"added": "ns", "maps": "kB", "CPU": "%", "rate": "a second", "theirs": "ns"}


def tools(runs: int) -> list[Row]:
    """All tools."""
    lacking = [name for name in tool_names() if name not in TOOLS]
    rows = [Row(f"{name}: maps", [memory], "kB") for name, memory in _in_guest(lacking).items()]
    with TemporaryDirectory() as folder, ExitStack() as stack:
        bench = Bench(Path(folder), stack)
        for name, tool in TOOLS.items():
            found = bench.measure(name, runs)
            rows += [
                Row(f"{name}, {tool.what}: {what}", found[what], unit) for what, unit in UNITS.items() if what in found
            ]
    return rows


def _in_guest(names: Sequence[str]) -> dict[str, float]:
    """Kilobytes of the maps of tools, in the guest."""
    with TemporaryDirectory() as folder:
        for name in names:
            Path(folder, f"{name}.bpf.o").write_bytes(bytes(read_spec(name).data))
        command = [sys.executable, "-m", "bench.tools"]
        if run(command, kernel=KERNEL, timeout=LIMIT, results=Path(folder), cwd=PROJECT):
            sys.exit("bench/run tools: the guest failed")
        found: dict[str, float] = json.loads(Path(folder, "values").read_text())
    return found


def _guest() -> None:
    folder, found = Path(os.environ["SKEP_RESULTS"]), {}
    for path in folder.glob("*.bpf.o"):
        spec = read_spec(str(path))
        whose: dict[str, dict[object, object]] = {
            map_.name: {0: "/sys/fs/cgroup"} for map_ in spec.maps.values() if map_.type == CGROUP_ARRAY
        }
        with spec.load(fill=whose):
            found[path.name.removesuffix(".bpf.o")] = Account("self").memory / 1e3
    (folder / "values").write_text(json.dumps(found))


if __name__ == "__main__":
    _guest()
