"""Attach to a tracepoint with its raw arguments (``raw_tp/sched_switch``): cheaper than ``tp``, and without tracefs.

Minimum kernel: 4.17; 5.2 for writable ones (``raw_tp.w``). Source: kernel/trace/bpf_trace.c (bpf_raw_tp_link).
"""

from __future__ import annotations

import os

from skep._native import lib
from skep.kernel.link.common import checked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.link.common import Attachment
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:  # noqa: ARG001 - as every kind's
    """Attaches a program to a tracepoint, by its name alone."""
    return checked(lib.bpf_program__attach_raw_tracepoint(program.handle, os.fsencode(hook.target)), hook)
