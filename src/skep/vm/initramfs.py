"""The first file system of a kernel that has virtio as modules: busybox, those modules, and a script of four lines.

Written here rather than by cpio(1): the format is one header and one padding rule, and no tree of files is needed.
Source: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel, "newc".
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

__all__ = ["build"]

# Arguments after `--` on the kernel's command line arrive here as "$@": they name the guest's real init script.
SCRIPT = """\
#!/bin/busybox sh
for module in /modules/*; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t virtiofs -o ro root /host
exec /bin/busybox switch_root /host /bin/sh "$@"
"""


def build(busybox: Path, modules: Sequence[Path]) -> bytes:
    """Build the archive, uncompressed: reading it is cheaper under emulation than unpacking it.

    Args:
        busybox: a statically linked busybox.
        modules: uncompressed kernel modules (busybox's insmod takes no others), in the order of insertion.
    """
    folder, program, data = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755, stat.S_IFREG | 0o644
    entries = [
        ("bin", folder, b""),
        ("bin/busybox", program, busybox.read_bytes()),
        ("host", folder, b""),
        ("init", program, SCRIPT.encode()),
        ("modules", folder, b""),
    ]
    # The shell's glob is sorted, hence the numbers.
    entries += [
        (f"modules/{number:02}-{module.name}", data, module.read_bytes()) for number, module in enumerate(modules)
    ]
    return b"".join(_entry(*entry) for entry in entries) + _entry("TRAILER!!!", 0, b"")


def _entry(name: str, mode: int, content: bytes) -> bytes:
    encoded = name.encode() + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08x" % number for number in numbers)
    return _padded(header + encoded) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
