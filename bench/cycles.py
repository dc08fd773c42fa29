"""bench/run cycles: loads, attaches, detaches and closes a program of each kind, again and again.

Prints of each kind that this kernel has the milliseconds of a cycle (median and largest) and what the process grew by.
With --pinned, what is attached is pinned before it is closed, opened again from its pins, and unpinned.
Fails where something stays behind: a file descriptor, a qdisc, a map, or a program in the kernel, which every link,
filter and hook holds as long as it lives; or where the process goes on growing. Kinds whose cycle takes less than 10 ms
go round a thousand times, the others fifty times. The programs do nothing; those on networks and cgroups are on ones of
our own.

    bench/cycles.py [--cycles N] [--pinned] [KIND ...]

Kinds that this kernel lacks go round under another, where nothing can be written but /tmp:

    tests/vm/run --kernel 6.12 -- env XDG_CACHE_HOME=/tmp/cache .venv/bin/python bench/cycles.py kprobe fentry lsm
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import skep
from skep._native import ffi, lib
from skep.base.errors import PinError, SkepError, UnsupportedError
from skep.spec.targets import Targets

# The kernel keeps 15 characters of a name.
NAME = f"cycle_{os.getpid()}"
MAP = f"{NAME}_m"
# Has USDT probes; `make test` builds it.
PROBED = Path(__file__).resolve().parent.parent / "tests" / "programs" / "probed"
# Kind -> (its section, what the program returns).
KINDS = {
    "raw_tp": ("raw_tp/sched_process_exit", 0),
    "tp": ("tp/sched/sched_process_exit", 0),
    "tp_btf": ("tp_btf/sched_process_exit", 0),
    "fentry": ("fentry/do_unlinkat", 0),
    "fexit": ("fexit/do_unlinkat", 0),
    "fmod_ret": ("fmod_ret/bpf_modify_return_test", 0),
    "kprobe": ("kprobe/do_unlinkat", 0),
    "kretprobe": ("kretprobe/do_unlinkat", 0),
    "ksyscall": ("ksyscall/getppid", 0),
    "kprobe.multi": ("kprobe.multi/do_unlinkat", 0),
    "kprobe.session": ("kprobe.session/do_unlinkat", 0),
    "lsm": ("lsm/file_open", 0),
    "uprobe": ("uprobe/libc:getppid", 0),
    "uretprobe": ("uretprobe/libc:getppid", 0),
    "uprobe.multi": ("uprobe.multi/libc:getppid", 0),
    "uprobe.session": ("uprobe.session/libc:getppid", 0),
    "usdt": (f"usdt/{PROBED}:skep:guarded", 0),
    "perf_event": ("perf_event", 0),
    "iter": ("iter/bpf_map", 0),
    "syscall": ("syscall", 0),
    "xdp": ("xdp", 2),
    "tc": ("tc", 0),
    "tcx": ("tcx/ingress", -1),
    "socket": ("socket", 0),
    "netfilter": ("netfilter", 1),
    "sk_lookup": ("sk_lookup", 1),
    "flow_dissector": ("flow_dissector", 0),
    "sk_msg": ("sk_msg", 1),
    "sk_skb": ("sk_skb/stream_verdict", 1),
    "struct_ops": ("struct_ops/ssthresh", 2),
    "cgroup_skb": ("cgroup_skb/ingress", 1),
    "cgroup": ("cgroup/connect4", 1),
    "sockops": ("sockops", 1),
    "lsm_cgroup": ("lsm_cgroup/socket_bind", 1),
}
# Milliseconds of a cycle, up to which there are many.
_QUICK = 10
_MANY, _FEW = 1000, 50
_WARM_UP = 5
# Bytes a cycle that a process may grow by before it is a leak: what one more small object would take.
_GROWTH = 512
_CLONE_NEWNET = 0x40000000
_SOURCE = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u32);
} NUMBERS SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} sockets SEC(".maps");

SEC("%s")
int %s(void *ctx)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&NUMBERS, &key) ? %d : %d;
}

char LICENSE[] SEC("license") = "GPL";
"""
# A struct is registered only if it has these.
_STRUCT = f"""
SEC("struct_ops/undo_cwnd")
u32 {NAME}u(void *ctx)
{{
	return 2;
}}

SEC("struct_ops/cong_avoid")
void {NAME}a(void *ctx)
{{
}}

SEC(".struct_ops.link")
struct tcp_congestion_ops operations = {{
	.ssthresh = (void *){NAME},
	.undo_cwnd = (void *){NAME}u,
	.cong_avoid = (void *){NAME}a,
	.name = "{NAME}",
}};
"""


def main() -> None:
    """Prints a line for each kind; the exit code is 1 if something stayed behind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", choices=[[], *KINDS], help=f"of {', '.join(KINDS)}")
    parser.add_argument("--cycles", type=int)
    parser.add_argument("--pinned", action="store_true")
    options = parser.parse_args()
    failed = False
    print(f"{'kind':14}{'cycles':>8}{'median ms':>11}{'max ms':>9}{'bytes a cycle':>15}")
    with _network(), _cgroup() as cgroup, _bpffs() as bpffs:
        targets = Targets(iface="lo", cgroup=cgroup, pid=os.getpid(), root=os.getpid())
        for kind in options.kinds or KINDS:
            failed |= not _cycles(kind, targets, options.cycles, bpffs if options.pinned else None)
    sys.exit(failed)


def _cycles(kind: str, targets: Targets, cycles: int | None, bpffs: str | None) -> bool:
    """Goes round, as often as it is said or as one cycle takes; whether nothing stayed."""
    section, returned = KINDS[kind]
    if kind == "netfilter":
        targets = Targets(attach={NAME: "ipv4/local_in"})
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"{kind}.bpf.c"
        text = _SOURCE.replace("NUMBERS", MAP) % (section, NAME, returned, returned)
        if kind == "struct_ops":
            text += _STRUCT
        if kind == "usdt":
            text = text.replace("\nstruct", "#include <bpf/usdt.bpf.h>\n\nstruct", 1)
        source.write_text(text)
        spec = skep.compile(str(source))
    try:
        _cycle(spec, targets, bpffs)
    except (UnsupportedError, PinError) as error:
        print(f"{kind:14}    left out: {error}")
        return True
    except SkepError as error:
        print(f"{kind:14}    FAILED: {error}")
        return False
    # What is kept on purpose is there after a few.
    first = statistics.median(_cycle(spec, targets, bpffs) for _ in range(_WARM_UP))
    cycles = cycles or (_MANY if first < _QUICK else _FEW)
    gc.collect()
    descriptors, resident = os.listdir("/proc/self/fd"), _resident()
    times = [_cycle(spec, targets, bpffs) for _ in range(cycles)]
    gc.collect()
    growth = (_resident() - resident) / cycles
    print(f"{kind:14}{cycles:8}{statistics.median(times):11.2f}{max(times):9.2f}{growth:15.0f}")
    left = sorted(set(os.listdir("/proc/self/fd")) - set(descriptors))
    wrong = [f"file descriptors {', '.join(left)} are left"] if left else []
    wrong += [f"{count} programs or maps are left" for count in [_objects()] if count]
    wrong += ["the qdisc clsact is left"] if "clsact" in _qdiscs() else []
    # A page or two more or less says nothing of a few cycles.
    wrong += [f"it grows by {growth:.0f} bytes a cycle"] if growth > _GROWTH and growth * cycles > 1 << 20 else []
    for one in wrong:
        print(f"{kind:14}    FAILED: {one}")
    return not wrong


def _cycle(spec: skep.Spec, targets: Targets, bpffs: str | None) -> float:
    """One cycle, in milliseconds."""
    started = time.perf_counter()
    with spec.load(targets=targets) as loaded, loaded.attach():
        if bpffs is not None:
            loaded.pin(f"{bpffs}/cycle")
    if bpffs is not None:
        try:
            with skep.Map.from_pin(f"{bpffs}/cycle/maps/{MAP}"), skep.Link.from_pin(f"{bpffs}/cycle/links/{NAME}"):
                pass
        finally:
            skep.unpin(f"{bpffs}/cycle")
        # A link is gone a moment after its pin, and until then its place is taken.
        _objects()
    return (time.perf_counter() - started) * 1000


def _qdiscs() -> str:
    return subprocess.run(["tc", "qdisc", "show", "dev", "lo"], check=True, capture_output=True, text=True).stdout


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _objects() -> int:
    """How many of ours are in the kernel, which frees them a moment after their last user has gone."""
    end = time.monotonic() + 5
    while (count := sum(name.startswith(NAME) for name in _names())) and time.monotonic() < end:
        time.sleep(0.05)
    return count


def _names() -> Iterator[str]:
    """The names of all programs and maps in the kernel."""
    for next_id, open_id, info in (
        (lib.bpf_prog_get_next_id, lib.bpf_prog_get_fd_by_id, ffi.new("struct bpf_prog_info *")),
        (lib.bpf_map_get_next_id, lib.bpf_map_get_fd_by_id, ffi.new("struct bpf_map_info *")),
    ):
        number = ffi.new("uint32_t *")
        while not next_id(number[0], number):
            fd = open_id(number[0])
            if fd < 0:
                continue
            ffi.memmove(info, bytes(ffi.sizeof(info[0])), ffi.sizeof(info[0]))
            lib.bpf_obj_get_info_by_fd(fd, info, ffi.new("uint32_t *", ffi.sizeof(info[0])))
            os.close(fd)
            yield ffi.string(info.name).decode()


@contextmanager
def _bpffs() -> Iterator[str]:
    """A bpffs of our own, with nobody else's pins in it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "bpf", "bpf", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)


@contextmanager
def _network() -> Iterator[None]:
    """Goes into a network namespace of our own; its loopback is the interface that programs are put on."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "a network namespace cannot be made")
    yield


@contextmanager
def _cgroup() -> Iterator[str]:
    """A cgroup of our own, with nobody in it."""
    with open("/proc/self/mounts") as file:
        root = next(line.split()[1] for line in file if line.split()[2] == "cgroup2")
    folder = f"{root}/skep-cycles-{os.getpid()}"
    os.mkdir(folder)
    try:
        yield folder
    finally:
        os.rmdir(folder)


if __name__ == "__main__":
    main()
