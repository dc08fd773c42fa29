"""Who holds what is attached, or registered, where another should be.

Minimum kernel: 4.13 (BPF_PROG_GET_FD_BY_ID); 5.8 for links. Source: bpf(2); kernel/bpf/syscall.c
(bpf_prog_show_fdinfo, bpf_map_show_fdinfo, bpf_link_show_fdinfo).
"""

from __future__ import annotations

import glob
import os
import re
import struct

from skep._native import ffi, lib, messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["attached", "holder", "links", "structs"]

# As many as a cgroup or a network namespace takes.
_MOST = 64
_STRUCT_OPS = 26  # enum bpf_map_type, include/uapi/linux/bpf.h
# Where the state of a struct of operations stands in its map (struct bpf_struct_ops_common_value); 0: not in use.
_STATE = struct.Struct("=4xI")


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
    return f"{words}, {_process('prog', number)}"


def links(kind: int) -> Iterator[tuple[int, bytes]]:
    """The links of a type, whoever made them: the id of the program of each, and what the kernel says of its place.

    Args:
        kind: of enum bpf_link_type.
    """
    # struct bpf_link_info: type, id, prog_id, and from byte 16 on what this type has.
    info, size, number = ffi.new("uint32_t[]", 64), ffi.new("uint32_t *"), ffi.new("uint32_t *")
    while not lib.bpf_link_get_next_id(number[0], number):
        fd = lib.bpf_link_get_fd_by_id(number[0])
        if fd < 0:
            continue
        size[0] = ffi.sizeof(info)
        told = not lib.bpf_obj_get_info_by_fd(fd, info, size) and info[0] == kind
        os.close(fd)
        if told:
            yield info[2], bytes(ffi.buffer(info))[16:]


def structs(map_: int) -> list[str]:
    """The structs of operations of one type that are in use, each with the process that has it.

    Args:
        map_: file descriptor of the map that holds another of the type.
    """
    own, info = ffi.new("struct bpf_map_info *"), ffi.new("struct bpf_map_info *")
    size, number, key = (ffi.new("uint32_t *") for _ in range(3))
    size[0] = ffi.sizeof("struct bpf_map_info")
    lib.bpf_obj_get_info_by_fd(map_, own, size)
    found = []
    while not lib.bpf_map_get_next_id(number[0], number):
        fd = lib.bpf_map_get_fd_by_id(number[0])
        if fd < 0:
            continue
        size[0] = ffi.sizeof("struct bpf_map_info")
        alike = not lib.bpf_obj_get_info_by_fd(fd, info, size) and (
            (info.type, info.btf_vmlinux_value_type_id) == (_STRUCT_OPS, own.btf_vmlinux_value_type_id)
        )
        if alike and info.id != own.id:
            value = bytearray(info.value_size)
            if not lib.bpf_map_lookup_elem(fd, key, ffi.from_buffer(value)) and _STATE.unpack_from(value)[0]:
                found.append((info.id, ffi.string(info.name).decode(errors="replace")))
        os.close(fd)
    # Only now: while a map is open here, this process is one that has it.
    return [f"map {id_} ({name}), {_process('map', id_)}" for id_, name in found]


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


def _process(kind: str, number: int) -> str:
    """Whoever has a program or a map (``prog``, ``map``), or a link of it, open."""
    # What is pinned, or attached without a link, outlives its process.
    for path in glob.iglob("/proc/[0-9]*/fdinfo/*"):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                if not re.search(rf"^{kind}_id:\s*{number}$", file.read(), re.MULTILINE):
                    continue
            pid = path.split("/")[2]
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                return f"of {file.read().strip()} (pid {pid})"
        except OSError:
            continue
    return "of no process"
