"""Block devices of one's own: files that become disks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["has_disks", "made_disk"]


def has_disks() -> bool:
    """Whether this kernel makes disks of files, or a module of it does."""
    if not os.path.exists("/dev/loop-control"):
        # In the virtual machines, which know where their modules are.
        subprocess.run([Path("/proc/sys/kernel/modprobe").read_text().strip(), "loop"], check=False)
    return os.path.exists("/dev/loop-control")


@contextmanager
def made_disk(file: Path, size: int = 1 << 20) -> Iterator[str]:
    """The path of a block device that keeps its blocks in a file.

    Args:
        file: is made.
        size: in bytes.
    """
    with open(file, "wb") as opened:
        opened.truncate(size)
    done = subprocess.run(["losetup", "--find", "--show", file], capture_output=True, text=True, check=True)
    try:
        yield done.stdout.strip()
    finally:
        subprocess.run(["losetup", "--detach", done.stdout.strip()], check=True)
