"""Puts entries into maps, before the first program runs."""

from __future__ import annotations

import errno
import os
import sys

from skep._native import ffi, lib
from skep.base.errors import LoadError, UsageError
from skep.spec.fills import PROG_ARRAY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from skep.kernel.map import Map
    from skep.kernel.program import Program
    from skep.spec.fills import Entry

__all__ = ["fill_maps"]

# enum bpf_map_type, include/uapi/linux/bpf.h
_PER_CPU = {5, 6, 10}  # percpu_hash, percpu_array, lru_percpu_hash
_ARRAYS = {2, PROG_ARRAY, 6, 8, 14, 16}  # array, prog_array, percpu_array, cgroup_array, devmap, cpumap


def fill_maps(maps: Mapping[str, Map], programs: Mapping[str, Program], entries: Iterable[Entry]) -> None:
    """Puts entries into maps; in a per-CPU map, each on every CPU.

    Args:
        maps: the object's.
        programs: the object's: those that a program array may hold.
        entries: as `skep.spec.fills.entries` gives them.

    Raises:
        UsageError: no room, no such index, program or cgroup.
        LoadError: the kernel refuses an entry for another reason.
    """
    for entry in entries:
        map_ = maps[entry.map]
        if not entry.target:
            # The kernel takes one value for each possible CPU, each in whole words.
            word = entry.value.ljust(-(-len(entry.value) // 8) * 8, b"\0")
            _update(map_, entry, word * lib.libbpf_num_possible_cpus() if map_.spec.type in _PER_CPU else entry.value)
        elif map_.spec.type == PROG_ARRAY:
            _update(map_, entry, _program(programs, entry.target))
        else:
            fd = _open_cgroup(entry.target)
            try:
                _update(map_, entry, fd)
            finally:
                os.close(fd)


def _update(map_: Map, entry: Entry, value: bytes | int) -> None:
    """Puts one entry in.

    Args:
        map_: the map.
        entry: for its key, and for messages.
        value: its bytes, or a file descriptor.
    """
    data = value.to_bytes(4, sys.byteorder) if isinstance(value, int) else value
    if not lib.bpf_map_update_elem(map_.fd, entry.key or ffi.NULL, data, 0):
        return
    number, name = ffi.errno, map_.spec.name
    if number == errno.E2BIG and map_.spec.type in _ARRAYS:
        index = int.from_bytes(entry.key, sys.byteorder)
        raise UsageError(f"map {name} has no entry {index}: it has {map_.max_entries}, counted from 0")
    if number in {errno.E2BIG, errno.ENOSPC}:
        remedy = f"Give it more room: --map {name}.max_entries=N."
        raise UsageError(f"map {name} is full: it has room for {map_.max_entries}", remedy=remedy)
    if number == errno.EBADF and entry.target:
        raise UsageError(f"{entry.target} is no cgroup (version 2)")
    raise LoadError(f"map {name} cannot be filled: {os.strerror(number)}", number)


def _program(programs: Mapping[str, Program], name: str) -> int:
    """The file descriptor of a program that is loaded."""
    loaded = [known for known, program in programs.items() if program.fd >= 0]
    if name not in loaded:
        known = f"The programs are: {', '.join(loaded)}."
        raise UsageError(f"no program {name} is loaded that a map could hold", remedy=known)
    return programs[name].fd


def _open_cgroup(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path!r} cannot be opened as a cgroup: {reason}") from None
