"""`Program`: a program in the kernel."""

from __future__ import annotations

from skep._native import ffi, lib
from skep.base.errors import LoadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from skep.kernel.map import Map
    from skep.spec.objectspec import ProgramSpec

__all__ = ["Program"]


class Program:
    """A program in the kernel. Its file descriptor belongs to the object.

    Args:
        spec: what the source declares.
        fd: file descriptor.
        handle: libbpf's.
        maps: of its object, by name.
        struct: libbpf's handle of the struct of operations that is registered with it; None for other programs.
    """

    __slots__ = ("fd", "handle", "maps", "spec", "struct")

    def __init__(self, spec: ProgramSpec, fd: int, handle: Any, maps: Mapping[str, Map], struct: Any = None) -> None:
        self.spec = spec
        self.fd = fd
        self.handle = handle
        self.maps = maps
        self.struct = struct

    def run_count(self) -> int:
        """How often it ran since statistics were enabled (`Object.enable_statistics`)."""
        info = ffi.new("struct bpf_prog_info *")
        size = ffi.new("uint32_t *", ffi.sizeof("struct bpf_prog_info"))
        if lib.bpf_obj_get_info_by_fd(self.fd, info, size):
            raise LoadError(f"program {self.spec.name} gives no information", ffi.errno)
        return int(info.run_cnt)
