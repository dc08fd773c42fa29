"""Debian's bpfcc-tools, and what makes the file systems that some of them are for: unpacked into the cache."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from pathlib import Path

__all__ = ["CACHE", "unpacked", "uses_bcc"]

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "skep" / "bcc-tools"
_PACKAGES = ["bpfcc-tools", "btrfs-progs", "xfsprogs", "libinih1", "liburcu8"]


def unpacked() -> Path:
    """The folder that holds the packages. Nothing is installed."""
    folder = CACHE / "package"
    CACHE.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(CACHE, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not folder.exists():
            _unpack(CACHE / "partial")
            (CACHE / "partial").rename(folder)
    finally:
        os.close(descriptor)
    return folder


def _unpack(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    download = ["apt-get", "-qq", "download", *_PACKAGES]
    if subprocess.run(download, cwd=folder, check=False).returncode:
        # A new machine has no package lists.
        subprocess.run(["apt-get", "-qq", "update"], check=True)
        subprocess.run(download, cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, folder], check=True)
        package.unlink()


def uses_bcc(path: Path) -> bool:
    """Whether a file is a script that imports bcc."""
    return re.search(rb"^\s*(from|import) bcc\b", path.read_bytes(), re.MULTILINE) is not None
