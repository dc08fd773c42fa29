"""Whose behaviour is learned: the executable, by path and build id, and the cgroup that it runs in."""

from __future__ import annotations

import os
import struct
from contextlib import suppress

from skep.base.errors import UsageError
from skep.guard.profile import Program
from skep.spec.elf import find_build_id

__all__ = ["build_id", "program_of"]

_PT_NOTE = 4
_LARGEST = 1 << 20


def program_of(path: str, cgroup: str = "") -> Program:
    """A program with the build id of its executable.

    Args:
        path: of the executable; a bare name is kept as a name, "" says nothing.
        cgroup: path of the cgroup; "" for any.

    Raises:
        UsageError: there is no such executable.
    """
    if "/" not in path:
        return Program(path, (), cgroup)
    if not os.path.isfile(path):
        raise UsageError(
            f"{path}: no such executable", remedy="It takes the path of a program, or a name without a slash."
        )
    found = build_id(path)
    return Program(os.path.realpath(path), (found,) if found else (), cgroup)


def build_id(path: str) -> str | None:
    """The GNU build id of an ELF64 executable of this machine's byte order; None if it has none (elf(5), Nhdr)."""
    # A damaged one may point to where no file reaches.
    with open(path, "rb") as file, suppress(ValueError, OSError):
        head = file.read(64)
        if len(head) < 64 or head[:5] != b"\x7fELF\x02":
            return None
        (offset,), (size, count) = struct.unpack_from("Q", head, 32), struct.unpack_from("HH", head, 54)
        for index in range(count):
            file.seek(offset + index * size)
            entry = file.read(56)
            if len(entry) < 56 or struct.unpack_from("I", entry)[0] != _PT_NOTE:
                continue
            file.seek(struct.unpack_from("Q", entry, 8)[0])
            found = find_build_id(file.read(min(struct.unpack_from("Q", entry, 32)[0], _LARGEST)))
            if found:
                return found
    return None
