"""Who holds a program that is attached where another should be.

Minimum kernel: 4.13 (BPF_PROG_GET_FD_BY_ID). Source: bpf(2); kernel/bpf/syscall.c (bpf_prog_show_fdinfo,
bpf_link_show_fdinfo).
"""

from __future__ import annotations

import glob
import os
import re

from skep._native import ffi, lib, messages

__all__ = ["attached", "holder"]

# As many as a cgroup or a network namespace takes.
_MOST = 64


def holder(number: int) -> str:
    """A program of the kernel's and the process that has it, in words: ``program 47 (count), of bpftool (pid 123)``.

    Args:
        number: the program's id.
    """
    words = f"program {number}"
    fd = lib.bpf_prog_get_fd_by_id(number)
    if fd >= 0:
        info = ffi.new("struct bpf_prog_info *")
        size = ffi.new("uint32_t *", ffi.sizeof("struct bpf_prog_info"))
        if not lib.bpf_obj_get_info_by_fd(fd, info, size) and info.name[0] != b"\0":
            words += f" ({ffi.string(info.name).decode(errors='replace')})"
        os.close(fd)
    return f"{words}, {_process(number)}"


def attached(target: int, attach_type: int) -> tuple[list[int], int]:
    """The ids of the programs that are attached somewhere, and the flags that they were attached with.

    Args:
        target: a file descriptor: of a cgroup, a network namespace, or a map of sockets.
        attach_type: of enum bpf_attach_type.

    Returns:
        No ids where there are none, or the kernel does not tell.

    Minimum kernel: 4.15 for cgroups, 5.8 for network namespaces, 5.18 for maps of sockets. Source:
    kernel/bpf/syscall.c (bpf_prog_query).
    """
    flags, ids, count = ffi.new("uint32_t *"), ffi.new("uint32_t[]", _MOST), ffi.new("uint32_t *", _MOST)
    failed = lib.bpf_prog_query(target, attach_type, 0, flags, ids, count)
    messages()
    return ([], 0) if failed else (list(ids[0 : count[0]]), flags[0])


def _process(number: int) -> str:
    """Whoever has the program, or a link of it, open."""
    # What is pinned, or attached without a link, outlives its process.
    for path in glob.iglob("/proc/[0-9]*/fdinfo/*"):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                if not re.search(rf"^prog_id:\s*{number}$", file.read(), re.MULTILINE):
                    continue
            pid = path.split("/")[2]
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                return f"of {file.read().strip()} (pid {pid})"
        except OSError:
            continue
    return "of no process"
