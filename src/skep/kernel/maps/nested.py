"""Maps whose values are maps: array_of_maps, hash_of_maps.

Minimum kernel: 4.12; 5.10 for arrays of different sizes. Source: kernel/bpf/map_in_map.c.
"""

from __future__ import annotations

import os
import sys
from functools import cached_property

from skep._native import ffi, lib
from skep.base.errors import MapError, UsageError
from skep.kernel.features import privilege_error
from skep.kernel.map import open_map, opened
from skep.kernel.maps.info import MapInfo
from skep.kernel.maps.slots import ProgramArray

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["MapOfMaps"]

_EPERM = 1


class MapOfMaps(ProgramArray):
    """A map of maps: written as a map, read as a map, which is closed with its last user, or by `with`."""

    takes = "a map"
    unfit = "it takes maps of the kind, and with the keys, values and flags, that the source declares"

    @cached_property
    def _decode_value(self) -> Callable[[Any], Any]:
        return lambda data: self._open(int.from_bytes(data[:4], sys.byteorder))

    def create(self, max_entries: int | None = None) -> Any:
        """A new map, like those that this one holds, to be put into it.

        Args:
            max_entries: how many entries it has room for; None: as the source says.

        Raises:
            UsageError: the source does not say what they are like, or no map has so many entries.
            MapError: the kernel does not make it.
            PrivilegeError: it is not permitted.
        """
        like = self.spec.inner
        if like is None or like.key is None or like.value is None:
            raise UsageError(f"the source does not say what the maps in {self.name} are like")
        options = ffi.new("struct bpf_map_create_opts *")
        options.sz = ffi.sizeof("struct bpf_map_create_opts")
        options.map_flags = like.flags
        entries = like.max_entries if max_entries is None else max_entries
        if not 0 < entries < 1 << 32:
            raise UsageError(f"a map for {self.name} cannot have {entries} entries: it takes 1 to {(1 << 32) - 1}")
        name = self.name[:15].encode("ascii", "replace")
        fd = lib.bpf_map_create(like.type, name, like.key.size, like.value.size, entries, options)
        if fd < 0:
            number = ffi.errno
            if number == _EPERM:
                raise privilege_error(f"creating a map for {self.name}")
            raise MapError(f"a map for {self.name} cannot be created: {os.strerror(number)}", number)
        return open_map(like, fd, entries, owned=True)

    def _open(self, number: int) -> Any:
        fd = lib.bpf_map_get_fd_by_id(number)
        if fd < 0:
            if ffi.errno == _EPERM:
                raise privilege_error(f"opening a map of {self.name}", "CAP_SYS_ADMIN")
            raise MapError(f"a map of {self.name} is gone", ffi.errno)
        if self.spec.inner is None:
            return opened(fd)
        return open_map(self.spec.inner, fd, MapInfo(fd).max_entries, owned=True)
