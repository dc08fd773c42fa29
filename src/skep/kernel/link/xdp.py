"""Attach to a network interface, where packets come in and before the kernel makes anything of them (XDP).

The program runs in the driver (native), or for any driver in front of the stack (generic), as --xdp-mode says; else the
driver decides. One program has an interface; it leaves when the link is closed, at the latest with our process, or when
the interface goes.

Minimum kernel: 5.9. Source: net/core/dev.c (bpf_xdp_link_attach, dev_xdp_attach).
"""

from __future__ import annotations

import errno
import os
from functools import partial

from skep._native import ffi, lib, messages
from skep.base.errors import AttachError
from skep.kernel.features import privilege_error
from skep.kernel.link.common import link_create, linked
from skep.kernel.places import find_interface, lost_interface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.base.errors import SkepError
    from skep.kernel.link.common import Attachment
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]

_XDP = 37  # enum bpf_attach_type
# include/uapi/linux/if_link.h: XDP_FLAGS_*
_GENERIC, _NATIVE, _HARDWARE = 2, 4, 8
_MODES = {"generic": _GENERIC, "native": _NATIVE}
_BUSY = {errno.EBUSY, errno.EEXIST}


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:
    """Attaches a program to an interface; of @flags, the mode counts: a link never replaces another's program."""
    name, index = find_interface(hook.target)
    flags = (program.spec.note.value("flags") or 0) & (_GENERIC | _NATIVE | _HARDWARE)
    if targets.xdp_mode:
        flags = _MODES[targets.xdp_mode]
    try:
        link = link_create(program.fd, index, _XDP, flags=flags)
    except OSError as error:
        raise _failure(name, index, flags, error.errno or 0) from None
    return linked(link, partial(lost_interface, index))


def _failure(name: str, index: int, flags: int, number: int) -> SkepError:
    if number in {errno.EPERM, errno.EACCES}:
        return privilege_error(f"attaching to xdp of {name}", "CAP_NET_ADMIN")
    if number in _BUSY:
        return AttachError(
            f"xdp of {name} is held by {_held(index)}",
            number,
            remedy=f"To take it away: ip link set dev {name} xdp off",
        )
    if number == errno.EOPNOTSUPP and flags == _NATIVE:
        return AttachError(
            f"the driver of {name} has no native XDP, or not with these settings",
            number,
            remedy="Run it in front of the stack, which is slower: --xdp-mode generic.",
        )
    remedy = None if flags == _GENERIC else "Where it is the driver that refuses it, --xdp-mode generic does without."
    return AttachError(f"it cannot be attached to xdp of {name}: {os.strerror(number)}", number, remedy=remedy)


def _held(index: int) -> str:
    from skep.kernel.holders import holder

    number = ffi.new("uint32_t *")
    failed = lib.bpf_xdp_query_id(index, 0, number)
    messages()
    return "programs in several modes" if failed or not number[0] else holder(number[0])
