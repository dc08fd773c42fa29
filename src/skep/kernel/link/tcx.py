"""Attach to a network interface's packets as they come in or leave, by a link (tcx).

Programs of several users run one after the other. ``tc/ingress`` and ``tc/egress`` mean the same place: where the
kernel has no tcx they are attached as filters of tc.

Minimum kernel: 6.6. Source: kernel/bpf/tcx.c (tcx_link_attach).
"""

from __future__ import annotations

import errno
import os
from functools import partial

from skep.base.errors import NOT_PERMITTED, AttachError, HookMissingError
from skep.kernel.features import privilege_error
from skep.kernel.link import tc
from skep.kernel.link.common import link_create, linked
from skep.kernel.places import find_interface, lost_interface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.link.common import Attachment
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]

_TYPES = {"ingress": 46, "egress": 47}  # enum bpf_attach_type


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:
    """Attaches a program to an interface, behind those that are there."""
    name, index = find_interface(hook.target)
    kind, _, direction = hook.kind.partition("/")
    try:
        link = link_create(program.fd, index, _TYPES[direction])
    except OSError as error:
        # As long as the interface is there, this is said of the place.
        if error.errno == errno.EINVAL and kind == "tc":
            return tc.attach(program, hook, targets)
        if error.errno == errno.EINVAL:
            raise HookMissingError(
                "this kernel has no tcx, which came with Linux 6.6",
                remedy=f"A filter of tc does the same: --attach {program.spec.name}=tc/{direction}.",
            ) from None
        if error.errno in NOT_PERMITTED:
            raise privilege_error(f"attaching to {hook.kind} of {name}", "CAP_NET_ADMIN") from None
        number = error.errno or 0
        raise AttachError(f"it cannot be attached to {hook.kind} of {name}: {os.strerror(number)}", number) from None
    return linked(link, partial(lost_interface, index))
