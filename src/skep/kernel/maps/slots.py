"""Maps whose entries stand for something of the kernel's: programs, sockets, perf events, cgroups, interfaces, CPUs.

Most are written as a file descriptor, and read as a number that tells what is there, or not at all. A slot that is
empty is no entry.

Minimum kernel: 4.2 prog_array; 4.3 perf_event_array; 4.8 cgroup_array; 4.14 devmap, sockmap; 4.15 cpumap; 4.18
sockhash, xskmap; 4.19 reuseport_sockarray. Source: kernel/bpf/arraymap.c, devmap.c, cpumap.c, net/core/sock_map.c,
net/xdp/xskmap.c, kernel/bpf/reuseport_array.c.
"""

from __future__ import annotations

import errno
import os
import sys
from functools import cached_property

from skep._native import ffi
from skep.base.encoding import MisfitError
from skep.base.errors import MapError, UsageError
from skep.kernel.maps.table import Table
from skep.kernel.places import find_cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from skep.base.errors import SkepError

__all__ = ["CgroupArray", "DescriptorArray", "ProgramArray", "Slots", "Sockets", "descriptor", "open_cgroup"]


class Slots(Table):
    """A map of slots, of which the filled ones are its entries. In devmap and cpumap they hold what BTF says."""

    def raw_keys(self) -> Iterator[bytes]:
        """The filled slots."""
        return (key for key, _ in self.raw_entries())

    def raw_entries(self) -> Iterator[tuple[bytes, bytes]]:
        """The filled slots, and what they hold."""
        for key in super().raw_keys():
            value = self._look(key)
            if value is not None:
                yield key, value


class DescriptorArray(Slots):
    """A map that is written as file descriptors: of perf events, or of AF_XDP sockets. It cannot be read."""

    takes = "a file descriptor, or an object with fileno()"

    @cached_property
    def _encode_value(self) -> Callable[[Any], bytes]:
        return lambda value: self._descriptor(value).to_bytes(self.value_type.size, sys.byteorder)

    def _descriptor(self, value: Any) -> int:
        return value if isinstance(value, int) and 0 <= value < 1 << 31 else descriptor(value, self.takes)


class ProgramArray(DescriptorArray):
    """The programs that bpf_tail_call() may go on with. It is written as programs, and read as their numbers (ids)."""

    takes = "a program"
    unfit = "all its programs, and those that use it, have to be of one kind"

    def _descriptor(self, value: Any) -> int:
        return descriptor(value, self.takes)

    def _write(self, key: Any, value: Any, flags: int) -> None:
        try:
            super()._write(key, value, flags)
        except MapError as error:
            if error.errno != errno.EINVAL:
                raise
            what = value.spec.name if hasattr(value, "spec") else repr(value)
            raise MapError(f"map {self.name} does not take {what}: {self.unfit}", errno.EINVAL) from None


class Sockets(DescriptorArray):
    """Sockets that programs send to or choose from. It is written as sockets, and read as their cookies (SO_COOKIE)."""

    takes = "a socket"

    def _descriptor(self, value: Any) -> int:
        return descriptor(value, self.takes)

    def _failure(self, doing: str, key: object = None) -> SkepError:
        number = ffi.errno
        if doing == "write" and number in {errno.EOPNOTSUPP, errno.EINVAL}:
            return MapError(
                f"map {self.name} ({self.kind}) does not take this socket: {os.strerror(number)}",
                number,
                remedy="A TCP socket has to be connected, or to listen; one of a reuseport group, to be bound.",
            )
        if doing == "read" and number == errno.ENOSPC:
            return MapError(
                f"map {self.name} cannot be read: its values have {self.value_type.size} bytes, and cookies 8",
                number,
                remedy="Declare its values as u64.",
            )
        return super()._failure(doing, key)


class CgroupArray(DescriptorArray):
    """The cgroups that bpf_current_task_under_cgroup() asks for. It is written as paths, and cannot be read."""

    takes = "the path of a cgroup"

    def _write(self, key: Any, value: Any, flags: int) -> None:
        if not isinstance(value, (str, os.PathLike)):
            super()._write(key, value, flags)
            return
        fd = open_cgroup(os.fspath(value))
        try:
            super()._write(key, fd, flags)
        finally:
            os.close(fd)


def descriptor(value: Any, takes: str) -> int:
    """The file descriptor of an object of ours, or of Python's.

    Args:
        value: the object.
        takes: what is expected, for messages.

    Raises:
        MisfitError: it has none.
        UsageError: it is closed, or not loaded.
    """
    fd = getattr(value, "fd", None)
    if fd is None and hasattr(value, "fileno"):
        try:
            fd = value.fileno()
        except (OSError, ValueError) as error:  # a file that is closed, or in memory only
            raise MisfitError(f"takes {takes}, not {value!r}: {error}") from None
    if not isinstance(fd, int):
        raise MisfitError(f"takes {takes}, not {value!r}")
    if fd < 0:
        raise UsageError(f"{value!r} is closed, or was not loaded")
    return fd


def open_cgroup(path: str) -> int:
    """A file descriptor of a cgroup.

    Args:
        path: its folder.

    Raises:
        UsageError: it is none, or one of version 1.
    """
    find_cgroup(path)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
