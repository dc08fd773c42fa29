"""Attach to a network interface's packets by a socket that gets copies of them (socket filter).

The socket exists to run the program, which sees every packet that comes or leaves. What the program lets through stays
in a buffer of the smallest size and is never read; the program runs when that is full, too.

Minimum kernel: 3.19 (SO_ATTACH_BPF). Source: packet(7); net/packet/af_packet.c (packet_rcv).
"""

from __future__ import annotations

import errno
import socket
from functools import partial

from skep.base.errors import NOT_PERMITTED, AttachError, HookMissingError
from skep.kernel.features import privilege_error
from skep.kernel.link.common import Attachment
from skep.kernel.places import find_interface, lost_interface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.base.errors import SkepError
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]

_ALL = 3  # ETH_P_ALL, include/uapi/linux/if_ether.h
_SO_ATTACH_BPF = 50  # include/uapi/asm-generic/socket.h


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:  # noqa: ARG001 - as every kind's
    """Attaches a program to an interface."""
    name, index = find_interface(hook.target)
    try:
        # Of no protocol until it is bound: no packet passes before the program is there.
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    except OSError as error:
        raise _failure(name, error) from None
    try:
        packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        packets.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, program.fd)
        packets.bind((name, _ALL))
    except OSError as error:
        packets.close()
        raise _failure(name, error) from None
    return Attachment(fds=(packets.detach(),), lost=partial(lost_interface, index))


def _failure(name: str, error: OSError) -> SkepError:
    if error.errno in NOT_PERMITTED:
        return privilege_error("opening a packet socket", "CAP_NET_RAW")
    if error.errno == errno.EAFNOSUPPORT:
        return HookMissingError("this kernel has no packet sockets", remedy="It needs CONFIG_PACKET.")
    return AttachError(f"it cannot be attached to packets of {name}: {error.strerror}", error.errno or 0)
