"""Attach to a tracepoint of the kernel, as tracefs lists them (``tp/sched/sched_switch``).

Minimum kernel: 4.7; a link of its own since 5.15. Source: Documentation/trace/events.rst.
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
    """Attaches a program to a tracepoint: ``CATEGORY/NAME``."""
    category, _, name = hook.target.partition("/")
    return checked(lib.bpf_program__attach_tracepoint(program.handle, os.fsencode(category), os.fsencode(name)), hook)
