"""Attach to the entry or return of a user-space function (uprobe, uretprobe).

Minimum kernel: 4.1. Source: Documentation/trace/uprobetracer.rst.
"""

from __future__ import annotations

import os

from skep._native import ffi, lib
from skep.kernel.link.common import checked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.link.common import Attachment
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:
    """Attaches a program to a function of a binary: ``/bin/bash:readline``, ``/bin/bash:readline+4``."""
    path, _, place = hook.target.rpartition(":")
    function, _, offset = place.partition("+")
    name = ffi.new("char[]", function.encode())
    options = ffi.new("struct bpf_uprobe_opts *", {"sz": ffi.sizeof("struct bpf_uprobe_opts")})
    options.retprobe = hook.is_return
    options.func_name = name
    pid = -1 if targets.pid is None else targets.pid
    link = lib.bpf_program__attach_uprobe_opts(
        program.handle, pid, os.fsencode(path), int(offset, 0) if offset else 0, options
    )
    return checked(link, hook)
