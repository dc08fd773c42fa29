"""Every test on a kernel has to leave it as it was: programs, links, pins, trace instances, children, file descriptors.

What a test leaves behind is removed, and the test fails.
"""

from __future__ import annotations

import gc
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skep._native import ffi, lib
from skep.kernel.features import mount_tracefs, tracefs
from skep.kernel.link import attach
from tests.network import Network, inside, ip


@pytest.fixture(scope="session", autouse=True)
def _tracefs():
    """Mounted for the tests, and unmounted again if it was not there before."""
    if os.geteuid() != 0:
        pytest.exit("tests/kernel load programs into the kernel and need root: sudo make test", 2)
    mounted = mount_tracefs()
    yield
    if mounted:
        subprocess.run(["umount", tracefs() or ""], check=True)


@pytest.fixture(scope="session")
def reachable() -> list[str]:
    """What starts a command of another user, so that it reaches this checkout and its Python, wherever they lie.

    A folder that only root may enter (/root) is covered, in a mount namespace of the command's own, by one that holds
    no more than these.
    """
    needed = [Path(__file__).resolve().parents[2], Path(sys.base_prefix).resolve()]
    closed = {parent for path in needed for parent in path.parents if not parent.stat().st_mode & 0o001}
    outermost = [folder for folder in closed if not closed & set(folder.parents)]
    lines = []
    for folder in outermost:
        lines += [f"mount --rbind {folder} /mnt", f"mount -t tmpfs -o mode=755 tmpfs {folder}"]
        for path in needed:
            if folder in path.parents:
                lines += [f"mkdir -p {path}", f"mount --rbind /mnt/{path.relative_to(folder)} {path}"]
    return ["unshare", "--mount", "sh", "-euc", "\n".join([*lines, 'exec "$@"']), "sh"] if lines else []


@pytest.fixture
def uses(request):
    """uses(tool): notes that the test runs it: docs/tools.md tells which are tested."""
    return lambda tool: request.node.user_properties.append(("tool", tool))


@pytest.fixture
def run(skep, uses):
    """run(*arguments): runs `skep run ... -o json`, and gives its events."""

    def events(*arguments):
        uses(arguments[0])
        finished = subprocess.run(
            [*skep, "run", *arguments[:1], "-o", "json", *arguments[1:]],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return [json.loads(line) for line in finished.stdout.splitlines()]

    return events


@pytest.fixture
def bpffs(tmp_path: Path):
    """A bpffs of the test's own, in which it pins: many machines mount none."""
    folder = tmp_path / "bpffs"
    folder.mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def network():
    """Two network namespaces with a cable between them; the test is in the first of them."""
    made = Network()
    try:
        made.make()
        with inside(made.ours):
            yield made
        assert "clsact" not in made.tc("qdisc", "show")
        assert "xdp" not in ip("-n", made.ours, "link")
    finally:
        made.remove()


@pytest.fixture
def cgroup():
    """A cgroup with another in it; both go at the end."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    root = next(line[1] for line in mounts if line[2] == "cgroup2")
    outer = Path(root, f"skep-test-{os.getpid()}")
    inner = outer / "inner"
    outer.mkdir()
    inner.mkdir()
    yield inner
    for folder in (inner, outer):
        if folder.exists():
            folder.rmdir()


def _descriptors() -> dict[str, str]:
    """Our file descriptors that hold something of the kernel's."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # that of the listing itself
            continue
        if re.search(r"bpf|perf_event|eventfd|eventpoll|pidfd|pipe|tracing", target):
            found[name] = target
    return found


def _children() -> set[str]:
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def _instances() -> set[str]:
    """Those of this process and of processes that are gone: others may run skep, too."""
    found = {name: re.match(r"skep-(\d+)-", name) for name in os.listdir(f"{tracefs()}/instances")}
    owners = {name: int(match[1]) for name, match in found.items() if match}
    return {name for name, pid in owners.items() if pid == os.getpid() or not os.path.exists(f"/proc/{pid}")}


def _pins() -> set[str]:
    return {str(path) for path in Path("/sys/fs/bpf").rglob("*")}


def _numbers(next_number: Callable[[int, Any], int]) -> set[int]:
    """The ids of all programs, or links, in the kernel."""
    found, number = set(), ffi.new("uint32_t *")
    while not next_number(number[0], number):
        found.add(number[0])
    return found


def _held(what: str) -> set[int]:
    """The ids of programs, or links, that a living process holds: others work on this machine too."""
    found = set()
    for path in glob.glob("/proc/[0-9]*/fdinfo/*"):
        try:
            with open(path) as file:
                found |= {int(number) for number in re.findall(rf"^{what}_id:\s*(\d+)", file.read(), re.MULTILINE)}
        except OSError:
            continue
    return found


def _settled(what: str, look: Callable[[], set[Any]], before: set[Any]) -> set[Any]:
    """What is there that was not before. The kernel frees programs a moment after their last user has gone."""
    held = {"programs": "prog", "links": "link"}.get(what)
    end = time.monotonic() + 20
    while left := look() - before:
        left -= _held(held) if held else set()
        if not left or time.monotonic() > end:
            break
        time.sleep(0.01)
    return left


@pytest.fixture(autouse=True)
def _hooks(request, monkeypatch):
    """Notes the kinds of hooks that a test attaches to: docs/hooks.md tells which are tested."""

    def noted(programs, hooks, *rest, **options):
        links = attach(programs, hooks, *rest, **options)
        request.node.user_properties += [("hook", hooks[name].kind) for name in links]
        return links

    monkeypatch.setattr("skep.kernel.object.attach", noted)


@pytest.fixture(autouse=True)
def _nothing_stays():
    """Fails a test that leaves something behind, and removes it."""
    looks: dict[str, Callable[[], set[Any]]] = {
        "descriptors": lambda: set(_descriptors().items()),
        "children": _children,
        "trace instances": _instances,
        "pins": _pins,
        "programs": lambda: _numbers(lib.bpf_prog_get_next_id),
        "links": lambda: _numbers(lib.bpf_link_get_next_id),
    }
    before = {what: look() for what, look in looks.items()}
    yield
    gc.collect()
    left = {what: _settled(what, look, before[what]) for what, look in looks.items()}
    for pid in left["children"]:
        os.kill(int(pid), signal.SIGKILL)
        os.waitpid(int(pid), 0)
    for number, _ in left["descriptors"]:
        os.close(int(number))
    for path in left["pins"]:
        os.unlink(path)
    for name in left["trace instances"]:
        os.rmdir(f"{tracefs()}/instances/{name}")
    assert not any(left.values()), f"left behind: { {what: found for what, found in left.items() if found} }"
