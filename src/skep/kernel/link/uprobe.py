"""Attach to a place in a program or library: the entry of a function (uprobe), its return (uretprobe), any instruction.

What a target may be says `skep.kernel.link.binary`. Minimum kernel: 4.17.
Source: Documentation/trace/uprobetracer.rst.
"""

from __future__ import annotations

import errno
import os

from skep._native import ffi, lib, messages
from skep.base.errors import AttachError
from skep.kernel.link.binary import open_binary, places, refusal, split
from skep.kernel.link.common import Attachment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach", "attach_each"]

# Each costs two file descriptors, of which a process has 1024 unless it asks for more.
_MOST = 400


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:
    """Attaches a program to a place in a binary: ``/bin/bash:readline``, ``libc:malloc``, ``bash:readline+4``.

    An address may be that of a USDT probe: its semaphore is counted up (Linux 4.20), or programs would pass it by.
    """
    path, offsets = places(hook, targets)
    is_address = split(hook)[1][:2] in {"0x", "0X"}
    return attach_each(program, hook, targets, path, offsets, open_binary(path).counter(*offsets) if is_address else 0)


def attach_each(
    program: Program, hook: Hook, targets: Targets, path: str, offsets: Sequence[int], counter: int = 0
) -> Attachment:
    """Attaches a program to several places, each with a link of its own: to all, or to none.

    Args:
        program: it is attached.
        hook: where, as it is called.
        targets: what the user says.
        path: of the binary.
        offsets: the places in it.
        counter: where in it the kernel counts who looks at them; 0 for nowhere.

    Raises:
        AttachError, PrivilegeError: the kernel refuses one.
    """
    if len(offsets) > _MOST:
        raise AttachError(
            f"{len(offsets)} functions fit {hook}: too many for a link each, and this kernel has no link for many",
            errno.E2BIG,
            remedy="Name fewer. Linux 6.6 has one link for many.",
        )
    options = ffi.new("struct bpf_uprobe_opts *", {"sz": ffi.sizeof("struct bpf_uprobe_opts")})
    options.retprobe = hook.is_return
    options.ref_ctr_offset = counter
    pid = -1 if targets.pid is None else targets.pid
    links: list[Any] = []
    for offset in offsets:
        link = lib.bpf_program__attach_uprobe_opts(program.handle, pid, os.fsencode(path), offset, options)
        if link == ffi.NULL:
            number = ffi.errno
            lib.skep_detach(ffi.new("struct bpf_link *[]", links), len(links))
            raise refusal(hook, targets, number, messages())
        links.append(link)
    return Attachment(*links)
