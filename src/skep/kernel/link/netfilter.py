"""Attach to a place that packets pass in the network stack (netfilter), beside iptables and nftables.

The target is ``FAMILY/PLACE``, or ``FAMILY/PLACE/PRIORITY``: ``ipv4/local_in/10``. Programs of a smaller priority run
first; no two of one place have the same. The link is of the network namespace that skep runs in.

Minimum kernel: 6.4; CONFIG_NETFILTER_BPF_LINK. Source: net/netfilter/nf_bpf_link.c (bpf_nf_link_attach).
"""

from __future__ import annotations

import errno
import os
import struct

from skep.base.errors import NOT_PERMITTED, AttachError, HookMissingError, UsageError
from skep.kernel.features import privilege_error
from skep.kernel.link.common import link_create, linked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.base.errors import SkepError
    from skep.kernel.link.common import Attachment
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]

_NETFILTER, _LINK = 45, 10  # enum bpf_attach_type, enum bpf_link_type
_FAMILIES = {"ipv4": 2, "ipv6": 10}  # NFPROTO_*, include/uapi/linux/netfilter.h
_PLACES = ("pre_routing", "local_in", "forward", "local_out", "post_routing")  # enum nf_inet_hooks
# The ends of the numbers are the kernel's own.
_FIRST, _LAST = -(1 << 31) + 1, (1 << 31) - 2


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:  # noqa: ARG001 - as every kind's
    """Attaches a program to a place; its priority is 0, that of filters, unless the target has one."""
    place = _read(hook.target)
    try:
        return linked(link_create(program.fd, 0, _NETFILTER, extra=struct.pack("=IIiI", *place, 0)))
    except OSError as error:
        raise _failure(hook, place, error.errno or 0) from None


def _read(target: str) -> tuple[int, int, int]:
    """The family, the place and the priority."""
    family, _, rest = target.partition("/")
    place, _, priority = rest.partition("/")
    try:
        number = int(priority or "0")
    except ValueError:
        number = _LAST + 1
    if family not in _FAMILIES or place not in _PLACES or not _FIRST <= number <= _LAST:
        raise UsageError(
            f"{target} is no place in the network stack",
            remedy=f"It is ipv4/PLACE or ipv6/PLACE, a priority behind it if need be; "
            f"the places are: {', '.join(_PLACES)}.",
        )
    return _FAMILIES[family], _PLACES.index(place), number


def _failure(hook: Hook, place: tuple[int, int, int], number: int) -> SkepError:
    if number == errno.EBUSY:
        return AttachError(
            f"priority {place[2]} of {hook} is held by {_held(place)}",
            number,
            remedy=f"Give another: --attach PROGRAM={'/'.join(hook.target.split('/')[:2])}/{place[2] + 1}.",
        )
    if number in NOT_PERMITTED:
        return privilege_error(f"attaching to {hook}", "CAP_NET_ADMIN")
    if number in {errno.EAFNOSUPPORT, errno.EOPNOTSUPP}:
        return HookMissingError(f"this kernel has no {hook}")
    return AttachError(f"it cannot be attached to {hook}: {os.strerror(number)}", number)


def _held(place: tuple[int, int, int]) -> str:
    """Whose link is there. A link does not tell its network namespace: one of the same place elsewhere looks alike."""
    from skep.kernel.holders import holder, links

    found = [holder(program) for program, told in links(_LINK) if struct.unpack_from("=IIi", told) == place]
    return ", or ".join(found) or "somebody else"
