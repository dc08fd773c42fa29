"""Attach to many functions of a program or library with one link (uprobe.multi, uretprobe.multi, uprobe.session).

A session's program runs at the entry of a function and, if it returned 0 there, at its return. What a target may be
says `skep.kernel.link.binary`. A kernel without these links gets one for each function.

Minimum kernel: 6.6; uprobe.session 6.13. Source: kernel/trace/bpf_trace.c (bpf_uprobe_multi_link_attach).
"""

from __future__ import annotations

import errno
import os
import struct

from skep._native import ffi
from skep.base.errors import HookMissingError
from skep.kernel.handlers import PROBES
from skep.kernel.link.binary import places, refusal
from skep.kernel.link.common import link_create, linked
from skep.kernel.link.uprobe import attach_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.link.common import Attachment
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]

_RETURN = 1  # BPF_F_UPROBE_MULTI_RETURN, include/uapi/linux/bpf.h
# What a kernel says that knows no such link.
_UNKNOWN = {errno.EINVAL, errno.EOPNOTSUPP}


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:
    """Attaches a program to functions of a binary: ``libssl:SSL_*``."""
    path, offsets = places(hook, targets)
    file = ffi.new("char[]", os.fsencode(path))
    numbers = ffi.new("uint64_t[]", offsets)
    addresses = [int(ffi.cast("uintptr_t", memory)) for memory in (file, numbers)]
    flags = _RETURN if hook.is_return else 0
    extra = struct.pack("=4Q3I", *addresses, 0, 0, len(offsets), flags, targets.pid or 0)
    try:
        return linked(link_create(program.fd, 0, PROBES[hook.kind], extra=extra))
    except OSError as error:
        number = error.errno or 0
    if number not in _UNKNOWN:
        raise refusal(hook, targets, number)
    if hook.kind == "uprobe.session":
        raise HookMissingError("this kernel has no uprobe.session")
    return attach_each(program, hook, targets, path, offsets)
