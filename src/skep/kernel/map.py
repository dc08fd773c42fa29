"""`Map`: a map in the kernel. What can be done with it depends on its kind: one file a kind, in `skep.kernel.maps`."""

from __future__ import annotations

import os

from skep._native import ffi, lib
from skep.base.abi.maps import MAP_TYPES
from skep.base.errors import ClosedError
from skep.base.schema import Type
from skep.kernel.descriptor import Descriptor
from skep.kernel.maps.failures import failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.base.errors import SkepError
    from skep.kernel.maps.info import MapInfo
    from skep.spec.objectspec import MapSpec

__all__ = ["Map", "open_map", "opened"]

# Kind -> the file in skep.kernel.maps, and the class in it. What is not here carries records, or is the kernel's own.
_KINDS = {
    "hash": ("table", "Table"),
    "lru_hash": ("table", "Table"),
    "cgroup_storage": ("table", "Table"),
    "devmap_hash": ("table", "Table"),
    "array": ("table", "Array"),
    "devmap": ("slots", "Slots"),
    "cpumap": ("slots", "Slots"),
    "prog_array": ("slots", "ProgramArray"),
    "perf_event_array": ("slots", "DescriptorArray"),
    "cgroup_array": ("slots", "CgroupArray"),
    "sockmap": ("slots", "Sockets"),
    "sockhash": ("slots", "Sockets"),
    "reuseport_sockarray": ("slots", "Sockets"),
    "xskmap": ("slots", "DescriptorArray"),
    "array_of_maps": ("nested", "MapOfMaps"),
    "hash_of_maps": ("nested", "MapOfMaps"),
    "percpu_hash": ("percpu", "PerCpuTable"),
    "lru_percpu_hash": ("percpu", "PerCpuTable"),
    "percpu_cgroup_storage": ("percpu", "PerCpuTable"),
    "percpu_array": ("percpu", "PerCpuArray"),
    "lpm_trie": ("lpm_trie", "LpmTrie"),
    "stack_trace": ("stack_trace", "StackTraces"),
    "queue": ("queue", "Queue"),
    "stack": ("queue", "Queue"),
    "bloom_filter": ("queue", "BloomFilter"),
    "task_storage": ("storage", "TaskStorage"),
    "inode_storage": ("storage", "InodeStorage"),
    "sk_storage": ("storage", "SocketStorage"),
    "cgrp_storage": ("storage", "CgroupStorage"),
}
_NUMBER = Type("int", 4, "u32")


class Map(Descriptor):
    """A map in the kernel. Those of an object are closed with it; one that was opened by itself, with its last user.

    Args:
        spec: what the source declares.
        fd: file descriptor; -1 once it is closed.
        max_entries: as the kernel has it: entries, or bytes for a ring buffer.
        owned: whether the file descriptor is this map's own to close.

    Minimum kernel: 3.19, later by its kind (`skep.kernel.maps`). Source: kernel/bpf/syscall.c (map_create).
    """

    def __init__(self, spec: MapSpec, fd: int, max_entries: int, *, owned: bool = False) -> None:
        super().__init__(fd, owned=owned)
        self.spec = spec
        self.max_entries = max_entries

    @property
    def name(self) -> str:
        """As the source calls it; of a map opened by its id or its pin, the 15 characters that the kernel keeps."""
        return self.spec.name

    @property
    def kind(self) -> str:
        """What kind of map it is, such as ``hash``."""
        return MAP_TYPES.get(self.spec.type, f"type {self.spec.type}")

    @property
    def key_type(self) -> Type:
        """The type of its keys."""
        return self.spec.key or _NUMBER

    @property
    def value_type(self) -> Type:
        """The type of its values."""
        return self.spec.value or _NUMBER

    @property
    def info(self) -> MapInfo:
        """What the kernel says of it.

        Raises:
            ClosedError: it is closed.
        """
        from skep.kernel.maps.info import MapInfo

        self.check()
        return MapInfo(self.fd)

    def check(self) -> None:
        """Refuses what needs it open.

        Raises:
            ClosedError: it is closed.
        """
        if self.fd < 0:
            raise ClosedError(f"map {self.name} is closed")

    def pin(self, path: str) -> None:
        """Pins it: the kernel keeps it, with what it holds, until the file is removed.

        Args:
            path: of a file that is not there yet, on a bpffs.

        Raises:
            ClosedError: it is closed.
            PinError: there is a file already.
            UnsupportedError: it is not on a bpffs.
            PrivilegeError: it is not permitted.

        Minimum kernel: 4.4. Source: kernel/bpf/inode.c (bpf_obj_pin_user).
        """
        from skep.kernel.pin import pin

        self.check()
        pin(self.fd, path)

    @staticmethod
    def from_pin(path: str) -> Any:
        """A map that is pinned, with the types of its keys and values, where it has them: to be closed.

        Args:
            path: of the file.

        Raises:
            PinError: there is no such pin, or of something else.
            UnsupportedError: it is not on a bpffs.
            PrivilegeError: it is not permitted: to ask for types takes CAP_SYS_ADMIN. Objects that share a pinned map
                by name have them from their source, and need no more than to load.

        Minimum kernel: 4.4; 4.18 for types. Source: kernel/bpf/inode.c (bpf_obj_get_user).
        """
        from skep.kernel.pin import open_pin

        return opened(open_pin(path, "map"))

    @staticmethod
    def from_id(number: int) -> Any:
        """A map of the kernel's, whoever made it, with the types of its keys and values: to be closed.

        Args:
            number: its id.

        Raises:
            PinError: there is none of that id.
            PrivilegeError: it is not permitted (CAP_SYS_ADMIN).

        Minimum kernel: 4.13; 4.18 for types. Source: kernel/bpf/syscall.c (bpf_map_get_fd_by_id).
        """
        from skep.kernel.pin import open_id

        return opened(open_id(number, "map"))

    def freeze(self) -> None:
        """Lets user space write to it no more, for good. Programs may.

        Raises:
            MapError: the kernel refuses it.

        Minimum kernel: 5.2. Source: kernel/bpf/syscall.c (map_freeze).
        """
        if lib.bpf_map_freeze(self.fd):
            raise self._failure("freeze")

    def __repr__(self) -> str:
        what = " ".join(filter(None, (self.kind, self._types())))
        state = "closed" if self.fd < 0 else self._size()
        return f"<Map {self.name!r} {what}{state and ', '}{state}>"

    def _types(self) -> str:
        """What it holds, for people."""
        return ""

    def _size(self) -> str:
        """How much it holds, for people."""
        return f"{self.max_entries} bytes" if self.spec.is_ring else f"room for {self.max_entries}"

    def _failure(self, doing: str, key: object = None) -> SkepError:
        """The error for what the kernel has just refused.

        Args:
            doing: what was asked for: ``read``, ``write``, ``delete`` ...
            key: of which entry.
        """
        return failure(self, ffi.errno, doing, key)


def open_map(spec: MapSpec, fd: int, max_entries: int, *, owned: bool = False) -> Any:
    """A map, with what can be done with one of its kind.

    Args:
        spec: what the source declares.
        fd: file descriptor.
        max_entries: as the kernel has it.
        owned: whether the file descriptor is the map's own to close.
    """
    from importlib import import_module

    file, name = _KINDS.get(MAP_TYPES.get(spec.type, ""), ("", ""))
    kind = getattr(import_module(f"skep.kernel.maps.{file}"), name) if file else Map
    return kind(spec, fd, max_entries, owned=owned)


def opened(fd: int) -> Any:
    """A map from its file descriptor alone, which becomes the map's own: as the kernel describes it.

    Args:
        fd: of a map.
    """
    from skep.kernel.maps.opened import described

    try:
        spec = described(fd)
    except BaseException:
        os.close(fd)
        raise
    return open_map(spec, fd, spec.max_entries, owned=True)
