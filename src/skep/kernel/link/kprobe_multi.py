"""Attach to many functions of the kernel with one link (kprobe.multi, kretprobe.multi, kprobe.session).

The target is a function, or a pattern: ``vfs_*``. A session's program runs at the entry of a function and, if it
returned 0 there, at its return.

Minimum kernel: 5.18, functions of modules 6.2; kprobe.session 6.10. CONFIG_FPROBE. Source: kernel/trace/bpf_trace.c
(bpf_kprobe_multi_link_attach).
"""

from __future__ import annotations

import errno
import struct

from skep._native import ffi
from skep.base.errors import AttachError, HookMissingError
from skep.kernel.features import mount_tracefs, privilege_error
from skep.kernel.handlers import PROBES
from skep.kernel.link.common import failure, link_create, linked
from skep.kernel.link.symbols import symbol_type, traceable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from skep.kernel.link.common import Attachment
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]

_RETURN = 1  # BPF_F_KPROBE_MULTI_RETURN, include/uapi/linux/bpf.h
# What only a kernel with these links has.
_FPROBE = "register_fprobe_ips"
# What a kernel says that knows no such link.
_UNKNOWN = {errno.EINVAL, errno.EOPNOTSUPP}


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:  # noqa: ARG001 - as every kind's
    """Attaches a program to functions: ``vfs_read``, ``vfs_*``."""
    own, modules = _functions(hook)
    number = _attach(program, hook, [*own, *modules])
    if number == -errno.ESRCH and own and modules:
        # Before 6.2 the functions of modules have no names here.
        number = _attach(program, hook, own)
    if number >= 0:
        return linked(number)
    if -number in _UNKNOWN:
        raise HookMissingError(f"this kernel has no {hook.kind}")
    if -number == errno.ESRCH and not hook.is_pattern and symbol_type(hook.target):
        raise AttachError(f"{hook.target} is no function that ftrace can hook", errno.ESRCH)
    raise failure(hook, -number)


def _functions(hook: Hook) -> tuple[Sequence[str], Sequence[str]]:
    """The functions that are meant: the kernel's own, and those of its modules."""
    if not hook.is_pattern:
        return [hook.target], []
    mount_tracefs()
    try:
        own, modules = traceable(hook.target)
    except OSError:
        if not symbol_type(_FPROBE):
            raise HookMissingError(f"this kernel has no {hook.kind} (CONFIG_FPROBE)") from None
        raise privilege_error("listing the functions that the kernel can trace") from None
    if not own and not modules:
        raise HookMissingError(f"no function of this kernel fits {hook.target}")
    return own, modules


def _attach(program: Program, hook: Hook, functions: Sequence[str]) -> int:
    """A file descriptor, or -errno."""
    names = [ffi.new("char[]", name.encode()) for name in functions]
    table = ffi.new("char *[]", names)
    flags = _RETURN if hook.is_return else 0
    extra = struct.pack("=2I3Q", flags, len(names), int(ffi.cast("uintptr_t", table)), 0, 0)
    try:
        return link_create(program.fd, 0, PROBES[hook.kind], extra=extra)
    except OSError as error:
        return -(error.errno or errno.EIO)
