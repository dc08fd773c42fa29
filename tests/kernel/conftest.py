"""Every test on a kernel has to leave it as it was: file descriptors, programs, links, trace instances, children."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path

import pytest

from skep.kernel.features import mount_tracefs, tracefs


@pytest.fixture(scope="session", autouse=True)
def _tracefs():
    """Mounted for the tests, and unmounted again if it was not there before."""
    if os.geteuid() != 0:
        pytest.exit("tests/kernel load programs into the kernel and need root: sudo make test", 2)
    mounted = mount_tracefs()
    yield
    if mounted:
        os.system(f"umount {tracefs()}")


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
    return {name for name in os.listdir(f"{tracefs()}/instances") if name.startswith("skep-")}


@pytest.fixture(autouse=True)
def nothing_stays():
    """Fails a test that leaves a file descriptor, a child process or a trace instance behind."""
    before = _descriptors(), _children(), _instances()
    yield
    gc.collect()
    after = _descriptors(), _children(), _instances()
    for what, old, new in zip(("descriptors", "children", "trace instances"), before, after, strict=True):
        left = {key: new[key] for key in new if key not in old} if isinstance(new, dict) else new - old
        assert not left, f"{what} left behind: {left}"
