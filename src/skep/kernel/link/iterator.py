"""Attach to a walk over what the kernel has: tasks, files, sockets, maps, programs, cgroups, symbols (``iter/task``).

Nothing runs until somebody reads it (`skep.stream.iterator`): then the program runs for each thing, and what it writes
is what is read. Which iterators there are is in the kernel's BTF: the structs ``bpf_iter__NAME``. One over a map has to
be told which: one of its file, the number of another, or the path of its pin. With ``--pid``, those over tasks keep to
the threads of that process; with ``--cgroup``, that over cgroups starts there.

Minimum kernel: 5.8; bpf_map_elem 5.9; cgroup, and one process, 6.1. Source: Documentation/bpf/bpf_iterators.rst.
"""

from __future__ import annotations

import errno
import os

from skep._native import ffi, lib, messages
from skep.base.errors import AttachError
from skep.kernel.link.common import Attachment, failure, open_map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]

# enum bpf_cgroup_iter_order, include/uapi/linux/bpf.h
_DESCENDANTS = 2


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:
    """Attaches a program to a walk, which `bpf_iter_create` begins."""
    fd = open_map(program, hook.map) if hook.map else -1
    try:
        attachment = _attach(program, hook, _told(hook, targets, fd))
    finally:
        # The link holds the map.
        if fd >= 0:
            os.close(fd)
    if hook.walks_tasks and targets.root is not None:
        attachment.notice = f"walks over the threads of process {targets.root} alone, not over its children"
    return attachment


def _attach(program: Program, hook: Hook, told: list[int]) -> Attachment:
    options = ffi.new("struct bpf_iter_attach_opts *", {"sz": ffi.sizeof("struct bpf_iter_attach_opts")})
    words = ffi.new("uint32_t[]", told)
    if told:
        options.link_info = ffi.cast("union bpf_iter_link_info *", words)
        options.link_info_len = ffi.sizeof(words)
    link = lib.bpf_program__attach_iter(program.handle, options)
    if link != ffi.NULL:
        return Attachment(link)
    number = ffi.errno
    log = messages()
    if hook.map and number in {errno.EINVAL, errno.EACCES}:
        why = "the program reads more of it than it has" if number == errno.EACCES else "it is of another kind"
        raise AttachError(f"it cannot walk over map {hook.map}: {why}", number)
    raise failure(hook, number, log)


def _told(hook: Hook, targets: Targets, fd: int) -> list[int]:
    """`union bpf_iter_link_info`, in 32-bit words."""
    if fd >= 0:
        return [fd]
    if hook.walks_tasks and targets.root is not None:
        return [0, targets.root, 0]
    if hook.target == "cgroup":
        number = 0
        if targets.cgroup is not None:
            from skep.kernel.places import find_cgroup

            number = find_cgroup(targets.cgroup)
        halves = ffi.cast("uint32_t *", ffi.new("uint64_t *", number))
        return [_DESCENDANTS, 0, halves[0], halves[1]]
    return []
