"""Run once, when everything else is attached, as if by a system call (``syscall``): programs that prepare or ask.

Its argument is zero bytes, as many as the kernel takes: no program that was loaded reads further.

Minimum kernel: 5.14. Source: net/bpf/test_run.c (bpf_prog_test_run_syscall).
"""

from __future__ import annotations

import os

from skep._native import ffi, lib, messages
from skep.kernel.link.common import Attachment, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]

_LARGEST = 0xFFFF


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:  # noqa: ARG001 - as every kind's
    """Runs a program; what it returned is the notice, and nothing stays attached."""
    options = ffi.new("struct bpf_test_run_opts *", {"sz": ffi.sizeof("struct bpf_test_run_opts")})
    argument = ffi.new("char[]", _LARGEST)
    options.ctx_in = argument
    options.ctx_size_in = _LARGEST
    error = lib.bpf_prog_test_run_opts(program.fd, options)
    if error:
        raise failure(hook, -error, messages())
    returned = int(ffi.cast("int32_t", options.retval))
    name = f" ({os.strerror(-returned)})" if -4096 < returned < 0 else ""
    return Attachment(notice=f"returned {returned}{name}")
