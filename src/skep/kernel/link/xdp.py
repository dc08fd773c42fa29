"""Attach to a network interface, where packets come in and before the kernel makes anything of them (XDP).

The program runs in the driver (native), or for any driver in front of the stack (generic), as --xdp-mode says; else the
driver decides. One program has an interface; it leaves when the link is closed, at the latest with our process, or when
the interface goes.

Minimum kernel: 5.9. Source: net/core/dev.c (bpf_xdp_link_attach, dev_xdp_attach).
"""

from __future__ import annotations

import errno
import os
import struct
from functools import partial

from skep._native import ffi, lib, messages
from skep.base.errors import NOT_PERMITTED, AttachError
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

_XDP, _LINK = 37, 6  # enum bpf_attach_type, enum bpf_link_type
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
    if number in NOT_PERMITTED:
        return privilege_error(f"attaching to xdp of {name}", "CAP_NET_ADMIN")
    if number in _BUSY:
        return _held(name, index, number)
    if number == errno.EOPNOTSUPP and flags == _NATIVE:
        return AttachError(
            f"the driver of {name} has no native XDP, or not with these settings",
            number,
            remedy="Run it in front of the stack, which is slower: --xdp-mode generic.",
        )
    remedy = None if flags == _GENERIC else "Where it is the driver that refuses it, --xdp-mode generic does without."
    return AttachError(f"it cannot be attached to xdp of {name}: {os.strerror(number)}", number, remedy=remedy)


def _held(name: str, index: int, number: int) -> SkepError:
    from skep.kernel.holders import holder, links

    program = ffi.new("uint32_t *")
    failed = lib.bpf_xdp_query_id(index, 0, program)
    messages()
    whose = "programs in several modes" if failed or not program[0] else holder(program[0])
    # ip(8) takes away only what has no link. An interface of another namespace may have the same number.
    is_linked = any(
        struct.unpack_from("=I", told) == (index,) and program[0] in {0, each} for each, told in links(_LINK)
    )
    remedy = (
        "It goes when its process ends, and with its pin if it has one."
        if is_linked
        else f"To take it away: ip link set dev {name} xdp off"
    )
    return AttachError(f"xdp of {name} is held by {whose}", number, remedy=remedy)
