"""bench/run strangers: what skep makes of kernel files that nobody here wrote.

They are those of Linux 6.12 (corpus.py). Of these the corpus is what is self-contained: what clang compiles by hand,
one file at a time, with no more than this kernel's vmlinux.h, libbpf-dev, linux-libc-dev and libc6-dev:

    clang -g -O2 --target=bpf -D__TARGET_ARCH_x86 -I VMLINUX -idirafter STUBS -idirafter MULTIARCH -c FILE

(MULTIARCH is /usr/include/x86_64-linux-gnu; STUBS holds one empty file, gnu/stubs-32.h, which libc6-dev leaves to
libc6-dev-i386), and that is whole: it uses nothing that another object file would have to define. Of each file:

builds      skep compiles it, too
info        `skep info` is complete: it knows every section, and the type of every record
self        every one of its programs can be attached by what its section says, and every map has its size
told        ... or once interfaces and a cgroup are named: the guest's own lo, and a cgroup made for it; an interface
            runs one XDP program, so that of several in one file each has one of its own. The others are not asked of
            the kernel; why not is told of each, and of how many at the end
rejected    ... but this kernel lacks a hook (or its module), its verifier refuses a program, as half of the selftests
            want it to, or what only attaching tells: that a program reads more than its hook has, or a struct of
            operations is wrong
whole       ... else: everything is loaded and attached, but for programs that another one stands in for
twice       of those, the ones in which one hook runs two programs that stand in for each other
rows        of those with typed records, how many showed one under a stock workload

The floor is Debian's 6.12 under QEMU: objects are built here, and loaded there, each in a process of its own. Sections
that name a binary of the selftests (./uprobe_multi) find it in the folder where that is done.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import skep
from skep.session.words import fill_words
from skep.spec.sections import parse
from skep.spec.targets import Targets, hook_of
from skep.spec.words import words_of
from skep.stream.reader import Reader
from skep.view.info import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.spec.objectspec import ObjectSpec, ProgramSpec
    from skep.spec.sections import Hook

# A script has its own folder on the path, not the project.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench.corpus import BINARIES, CACHE, PROJECT, build_binaries, corpus, is_self_contained

# What is said of hooks, in the guest.
IFACE, CGROUP = "lo", "/sys/fs/cgroup/strangers"
# What skep says that the kernel said of a program, or of a struct, which it did not take.
REFUSALS = ("reads more of it than it has", "the kernel finds it incomplete or wrong")
# Seconds: of one file on the host, of one file in the guest, of one guest.
HOST_LIMIT, GUEST_LIMIT, BOOT_LIMIT = 120, 600, 7200


def strangers(kernel: str = "6.12", only: str = "") -> None:
    """Prints one line a file, and the totals."""
    build_binaries()
    files = [path for path in corpus() if re.search(only, str(path))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = dict(zip(map(str, files), pool.map(_on_host, files), strict=True))
    rows = {name: row for name, row in rows.items() if row["hand"]}
    candidates = {name: row["object"] for name, row in rows.items() if row.get("told")}
    for name, result in _under(kernel, candidates).items():
        rows[name] |= result
    for name, row in sorted(rows.items()):
        print(f"{'/'.join(Path(name).parts[-2:]):60} {_verdict(row)}")
    _totals(rows, kernel)


def _on_host(source: Path) -> dict[str, Any]:
    """Compiles one file by hand and by skep; in a process of its own, which a crash of the compiler ends alone."""
    if not is_self_contained(source):
        return {"hand": False}
    command = [sys.executable, __file__, "host", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HOST_LIMIT)
    if done.returncode:
        return {"hand": True, "error": f"skep ended with {done.returncode}: {done.stderr.strip()[-300:]}"}
    return {"hand": True, **json.loads(done.stdout)}


def _host(source: str) -> dict[str, Any]:
    """What skep makes of one file, without a kernel."""
    try:
        spec = skep.compile(source)
    except skep.SkepError as error:
        return {"builds": False, "error": str(error)[:500]}
    kept = CACHE / "objects" / f"{Path(source).parent.name}-{Path(source).name}.bpf.o"
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(spec.data)
    programs = [program for program in spec.programs.values() if not program.section.startswith("?")]
    hooks = [hook_of(program, _targets(spec), spec.maps) for program in programs]
    aside = _aside(spec, programs, hooks)
    open_ends = [event.question for event in spec.events.values() if event.question]
    open_ends += [
        f"unknown section {program.section}" for program, hook in zip(programs, hooks, strict=True) if not hook.kind
    ]
    return {
        "builds": True,
        "object": str(kept),
        "open": open_ends,
        "self": not aside and not any(program.hook.needs for program in programs),
        "told": not aside,
        "aside": aside,
        "events": len(spec.events),
        "sections": {program.name: program.section for program in programs},
    }


def _aside(spec: ObjectSpec, programs: Sequence[ProgramSpec], hooks: Sequence[Hook]) -> str:
    """Why a file is not asked of the kernel, though an interface and a cgroup are told; "" if it is."""
    # Of a map without a type nobody knows what it lacks.
    unsized = [entry["name"] for entry in describe(spec, {})["open"] if entry["kind"] == "map"]
    reasons = {
        "no program is loaded unless it is asked for": not programs,
        "a section names no hook": not all(hook.kind for hook in hooks),
        "of a kind that skep does not attach yet": any(hook.lacks is None for hook in hooks),
        "a function, a tracepoint, a binary or a map is left open": any(hook.needs for hook in hooks),
        "the size of a map is left open": any(spec.maps[name].type for name in unsized),
        # What is in no struct of operations is registered with none.
        "in no struct": any(program.hook.kind == "struct_ops" and not program.struct for program in programs),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _targets(spec: ObjectSpec) -> Targets:
    """What is said of the hooks of one file."""
    alone = [program.name for program in spec.programs.values() if program.hook.kind in {"xdp", "xdp.frags"}]
    asked = [name for name in alone if not spec.programs[name].section.startswith("?")]
    others = {name: f"strangers{number}" for number, name in enumerate(asked[1:])}
    return Targets(iface=IFACE, cgroup=CGROUP, attach=others)


def _under(kernel: str, candidates: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Loads the objects under that kernel. A file that ends the guest is noted, and the rest goes to a new one."""
    results: dict[str, dict[str, Any]] = {}
    folder = CACHE / "results"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    while left := {name: path for name, path in candidates.items() if name not in results}:
        (folder / "rows").unlink(missing_ok=True)
        (folder / "candidates").write_text(json.dumps(left))
        command = ["tests/vm/run", "--kernel", kernel, "--timeout", str(BOOT_LIMIT), "--collect", str(folder)]
        subprocess.run([*command, "--", sys.executable, __file__, "guest"], cwd=PROJECT, check=False)
        lines = (folder / "rows").read_text().splitlines() if (folder / "rows").exists() else []
        if not lines:
            sys.exit("bench/run strangers: the guest did not start")
        for line in lines:
            row = json.loads(line)
            results[row.pop("name")] = row
    return results


def _guest() -> None:
    """In the guest: one file after the other. What is under way when the guest ends stays noted as its end."""
    folder = Path(os.environ["SKEP_RESULTS"])
    Path(CGROUP).mkdir()
    os.chdir(BINARIES)
    with (folder / "rows").open("w") as rows:
        for name, path in json.loads((folder / "candidates").read_text()).items():
            place = rows.tell()
            _note(rows, {"name": name, "failed": "the guest ended"})
            result = _in_child(path)
            rows.seek(place)
            rows.truncate()
            _note(rows, {"name": name, **result})


def _note(rows: Any, row: dict[str, Any]) -> None:
    rows.write(json.dumps(row) + "\n")
    rows.flush()
    os.fsync(rows.fileno())


def _in_child(path: str) -> dict[str, Any]:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        signal.alarm(GUEST_LIMIT)
        with os.fdopen(write, "w") as answer:
            json.dump(_load(path), answer)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if text else {"failed": f"the process ended with {os.waitstatus_to_exitcode(status)}"}


def _load(path: str) -> dict[str, Any]:
    """Loads, attaches, works, and counts the rows."""
    started = time.monotonic()
    spec = skep.open(path)
    targets = _targets(spec)
    for name in targets.attach.values():
        if not Path("/sys/class/net", name).exists():
            subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}peer"], check=True)
    try:
        # As `--pid` does: most of these files show only what one process does.
        fill_words(spec, {"pid": str(os.getpid())} if "pid" in words_of(spec) else {})
        with spec.load(targets=targets) as loaded, Reader(loaded) as reader, loaded.attach() as links:
            attached = list(links)
            reasons = {**loaded.left_out, **loaded.open, **links.left_out}
            asked = [name for name, program in spec.programs.items() if not program.section.startswith("?")]
            reasons = {name: why for name, why in reasons.items() if name in asked}
            rows = 0
            if spec.events:
                _work()
                rows = sum(batch.count for batch in chain(reader.batches(0.5), loaded.walk(links)))
    except skep.SkepError as error:
        # What libbpf cannot do, or is not permitted here, is no word of the kernel's.
        lacks = isinstance(error, skep.UnsupportedError) and "this kernel" in str(error)
        if lacks or isinstance(error, skep.VerifierError) or any(words in str(error) for words in REFUSALS):
            return {"rejected": str(error)[:300]}
        return {"failed": f"{type(error).__name__}: {error}"[:500]}
    return {"attached": attached, "reasons": reasons, "rows": rows, "seconds": time.monotonic() - started}


def _work() -> None:
    """The stock workload: a file, a process, a signal, a connection, small calls; on this machine only."""
    os.getpgid(0)
    os.sched_yield()
    time.sleep(0.001)
    with open("/etc/hostname", "rb") as file:
        file.read()
    subprocess.run(["/bin/true"], check=True)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    os.kill(os.getpid(), signal.SIGUSR1)
    # A program on lo may drop what comes.
    with (
        suppress(OSError),
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=0.5) as client,
    ):
        client.sendall(b"x")
    with suppress(OSError):
        os.unlink("/tmp/no such file")
    time.sleep(0.05)


def _verdict(row: dict[str, Any]) -> str:
    """What one line says of a file."""
    if not row.get("builds"):
        return f"does not build: {row['error']}"
    parts = [f"info incomplete: {'; '.join(row['open'])}"] if row["open"] else []
    if not row["told"]:
        parts.append(row["aside"])
    elif "attached" not in row:
        parts.append(f"rejected: {row['rejected']}" if "rejected" in row else f"FAILED: {row['failed']}")
    else:
        parts.append(f"{len(row['attached'])} attached" + (f", {row['rows']} rows" if row["events"] else ""))
        parts += [f"left out: {name}: {why}" for name, why in row["reasons"].items()]
    return "; ".join(part.replace("\n", " ") for part in parts)


def _is_rejected(row: dict[str, Any]) -> bool:
    """Whether this kernel lacks a hook, or refuses a program, by its own word."""
    missing = [why for why in row.get("reasons", {}).values() if why.startswith("this kernel")]
    return "rejected" in row or bool(missing)


def _is_whole(row: dict[str, Any]) -> bool:
    """Whether all is attached but what another one stands in for."""
    return "attached" in row and all(why.startswith("in favour of") for why in row["reasons"].values())


def _twice(row: dict[str, Any]) -> list[str]:
    """The hooks that run two programs for the same: on one kernel function or tracepoint, one way, in two kinds."""
    kinds: dict[tuple[str, bool], set[str]] = {}
    for name in row["attached"]:
        hook = parse(row["sections"][name])
        if hook.in_binary or not hook.target or hook.kind in {"iter", "fmod_ret", "lsm"}:
            continue
        kinds.setdefault((hook.target.rpartition("/")[2], hook.is_return), set()).add(hook.kind)
    return [target for (target, _), found in kinds.items() if len(found) > 1]


def _totals(rows: dict[str, dict[str, Any]], kernel: str) -> None:
    built = [row for row in rows.values() if row.get("builds")]
    alone = [row for row in built if row["self"]]
    told = [row for row in built if row["told"]]
    taken = {what: [row for row in of if not _is_rejected(row)] for what, of in {"self": alone, "told": told}.items()}
    whole = {what: [row for row in of if _is_whole(row)] for what, of in taken.items()}
    typed = [row for row in whole["told"] if row["events"]]
    print()
    for what, part, of in (
        ("builds", built, rows),
        ("info complete", [row for row in built if not row["open"]], rows),
        (f"its sections say all; hooks and verifier of {kernel} take it", taken["self"], alone),
        ("  ... loads and attaches whole", whole["self"], taken["self"]),
        (f"interfaces and a cgroup are told; {kernel} takes it", taken["told"], told),
        ("  ... loads and attaches whole", whole["told"], taken["told"]),
        ("  ... attaches for one hook twice", [row for row in whole["told"] if _twice(row)], whole["told"]),
        ("  ... sends records; one was seen under the stock workload", [row for row in typed if row["rows"]], typed),
    ):
        share = f"{100 * len(part) / len(of):5.1f} %" if of else ""
        print(f"{what:64}{len(part):5} of {len(of):4} {share}")
    print("\nNot asked of the kernel:")
    for reason, count in Counter(row["aside"] for row in built if row["aside"]).most_common():
        print(f"{reason:64}{count:5}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["guest"]:
        _guest()
    elif sys.argv[1:2] == ["host"]:
        print(json.dumps(_host(sys.argv[2])))
    else:
        strangers(*sys.argv[1:])
