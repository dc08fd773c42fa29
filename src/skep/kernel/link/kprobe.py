"""Attach to the entry or return of a function of the kernel (kprobe, kretprobe), or of a system call (ksyscall).

A function of several copies, or an offset into one, is written ``NAME+OFFSET``. Minimum kernel: 4.1; CONFIG_KPROBES.
Source: Documentation/trace/kprobes.rst.
"""

from __future__ import annotations

from skep._native import ffi, lib
from skep.kernel.link.common import checked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.link.common import Attachment
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:  # noqa: ARG001 - as every kind's
    """Attaches a program to a function: ``do_unlinkat``, ``do_unlinkat+8``."""
    if "syscall" in hook.kind:
        call = ffi.new("struct bpf_ksyscall_opts *", {"sz": ffi.sizeof("struct bpf_ksyscall_opts")})
        call.retprobe = hook.is_return
        return checked(lib.bpf_program__attach_ksyscall(program.handle, hook.target.encode(), call), hook)
    function, _, offset = hook.target.partition("+")
    options = ffi.new("struct bpf_kprobe_opts *", {"sz": ffi.sizeof("struct bpf_kprobe_opts")})
    options.retprobe = hook.is_return
    options.offset = int(offset, 0) if offset else 0
    return checked(lib.bpf_program__attach_kprobe_opts(program.handle, function.encode(), options), hook)
