"""Attach to the entry or return of a function of the kernel (kprobe, kretprobe), or of a system call (ksyscall).

An instruction of a function is written ``NAME+OFFSET``. Minimum kernel: 4.1; CONFIG_KPROBES.
Source: Documentation/trace/kprobes.rst.
"""

from __future__ import annotations

import errno
import os

from skep._native import ffi, lib, messages
from skep.base.errors import AttachError, HookMissingError
from skep.kernel.features import has_probes
from skep.kernel.link.common import Attachment, checked, failure
from skep.kernel.link.symbols import bytes_behind, symbol_type, traceable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.base.errors import SkepError
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:  # noqa: ARG001 - as every kind's
    """Attaches a program to a function: ``do_unlinkat``, ``do_unlinkat+8``."""
    if not has_probes("kprobe"):
        raise HookMissingError("this kernel has no kprobes (CONFIG_KPROBE_EVENTS)")
    if "syscall" in hook.kind:
        call = ffi.new("struct bpf_ksyscall_opts *", {"sz": ffi.sizeof("struct bpf_ksyscall_opts")})
        call.retprobe = hook.is_return
        return checked(lib.bpf_program__attach_ksyscall(program.handle, os.fsencode(hook.target), call), hook)
    function, offset = _parts(hook)
    options = ffi.new("struct bpf_kprobe_opts *", {"sz": ffi.sizeof("struct bpf_kprobe_opts")})
    options.retprobe = hook.is_return
    options.offset = offset
    link = lib.bpf_program__attach_kprobe_opts(program.handle, os.fsencode(function), options)
    if link == ffi.NULL:
        number = ffi.errno
        raise _refusal(hook, function, offset, number, messages())
    return Attachment(link)


def _parts(hook: Hook) -> tuple[str, int]:
    function, plus, offset = hook.target.partition("+")
    if plus and hook.is_return:
        raise AttachError(f"{hook} names an instruction, and the return of a function has none", errno.EINVAL)
    number = bytes_behind(offset) if plus else 0
    if number is None:
        raise AttachError(f"{hook}: {offset!r} is not a number of bytes", errno.EINVAL)
    return function, number


def _refusal(hook: Hook, function: str, offset: int, number: int, log: str) -> SkepError:
    """What the kernel means: register_kprobe() has an errno for each, and some mean several things."""
    if number in {errno.EINVAL, errno.EILSEQ} and offset:
        return AttachError(f"no instruction of {function} begins {offset} bytes after it", number)
    if number in {errno.EINVAL, errno.ENOENT} and (letter := symbol_type(function)) and letter not in "tTwW":
        return AttachError(f"{function} is a variable of the kernel, not a function", errno.EINVAL)
    if number == errno.EINVAL:
        return AttachError(f"the kernel lets nobody probe {function}: {_why_nobody(function)}", number)
    return failure(hook, number, log)


def _why_nobody(function: str) -> str:
    """Which of its rules a function breaks.

    Source: kernel/trace/trace_kprobe.c (within_notrace_func); Documentation/trace/kprobes.rst, "Blacklist".
    """
    try:
        is_traced = any(traceable(function))
    except OSError:
        return "it is not to be traced, or probes themselves run through it"
    return "probes themselves run through it" if is_traced else "its source says inline or notrace"
