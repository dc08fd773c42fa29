"""`MapInfo`: what the kernel says of a map."""

from __future__ import annotations

import os

from skep._native import ffi, lib
from skep.base.abi.maps import MAP_TYPES
from skep.kernel.pin import describe

__all__ = ["MapInfo"]


class MapInfo:
    """What the kernel says of a map.

    Args:
        id: its number, by which anybody with CAP_SYS_ADMIN can open it.
        name: its name, of which the kernel keeps 15 characters.
        type: number of enum bpf_map_type.
        key_size: in bytes.
        value_size: in bytes; of a map with a value for each CPU, of one of them.
        max_entries: entries, or bytes for a ring buffer.
        flags: of BPF_F_*.
        btf: the number of the BTF object that describes its keys and values; 0 where none does.
        types: the numbers of their types in it; 0 where there is none.
        frozen: whether user space may not write to it any more.
        memory: bytes that the kernel counts for it; before 6.4, for its keys and values alone.

    Minimum kernel: 4.13; 5.2 for frozen. Source: kernel/bpf/syscall.c (bpf_map_get_info_by_fd, bpf_map_show_fdinfo).
    """

    __slots__ = (
        "btf",
        "flags",
        "frozen",
        "id",
        "key_size",
        "max_entries",
        "memory",
        "name",
        "type",
        "types",
        "value_size",
    )

    def __init__(self, fd: int) -> None:
        info = ffi.new("struct bpf_map_info *")
        if lib.bpf_obj_get_info_by_fd(fd, info, ffi.new("uint32_t *", ffi.sizeof("struct bpf_map_info"))):
            raise OSError(ffi.errno, os.strerror(ffi.errno))
        self.id = int(info.id)
        self.name = ffi.string(info.name).decode()
        self.type = int(info.type)
        self.key_size = int(info.key_size)
        self.value_size = int(info.value_size)
        self.max_entries = int(info.max_entries)
        self.flags = int(info.map_flags)
        self.btf = int(info.btf_id)
        self.types = int(info.btf_key_type_id), int(info.btf_value_type_id)
        told = describe(fd)
        self.frozen = told.get("frozen") == "1"
        self.memory = int(told["memlock"])

    def __repr__(self) -> str:
        return f"<MapInfo {self.id}: {MAP_TYPES.get(self.type, self.type)} {self.name!r}>"
