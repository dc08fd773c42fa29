"""Attach to what the sockets of a map send or get (sk_msg, sk_skb): programs that redirect it, drop it or let it pass.

The map is the only one of the kernel file that holds sockets, or the one that ``--attach PROGRAM=MAP`` names. Which
sockets are in it is up to other programs (sockops), or to who fills it.

Minimum kernel: 4.17 for sk_msg; 4.14 for sk_skb; 5.13 for sk_skb/verdict; a link of its own since 6.10.
Source: net/core/sock_map.c (sock_map_get_from_fd, sock_map_link_create).
"""

from __future__ import annotations

import errno
import os
from functools import partial

from skep._native import ffi, lib
from skep.base.errors import NOT_PERMITTED, AttachError
from skep.kernel.features import privilege_error
from skep.kernel.link.common import Attachment, link_create, linked, open_map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.base.errors import SkepError
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]

_ATTACH, _DETACH = 8, 9  # enum bpf_cmd
# enum bpf_attach_type; sk_skb alone is what decides where data goes, not what takes it apart into messages.
_TYPES = {"sk_skb/stream_parser": 4, "sk_skb/stream_verdict": 5, "sk_skb": 5, "sk_msg": 7, "sk_skb/verdict": 38}
# What decides where data goes: of these a map has one.
_VERDICTS = (5, 38)


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:  # noqa: ARG001 - as every kind's
    """Attaches a program to a map."""
    attach_type = _TYPES[hook.kind]
    map_ = open_map(program, hook.map)
    try:
        return linked(link_create(program.fd, map_, attach_type))
    except OSError as error:
        number = error.errno or 0
        # Before 6.10 a map has no links: its program stays until it is taken off, or the map goes.
        if number == errno.EINVAL:
            number = _command(_ATTACH, map_, program.fd, attach_type)
        if number:
            raise _failure(hook, map_, number) from None
        kept = os.dup(map_)
        return Attachment(closers=(partial(_command, _DETACH, kept, program.fd, attach_type), partial(os.close, kept)))
    finally:
        os.close(map_)


def _command(command: int, map_: int, program: int, attach_type: int) -> int:
    """BPF_PROG_ATTACH or BPF_PROG_DETACH; 0, or the errno."""
    attributes = ffi.new("uint32_t[]", [map_, program, attach_type, 0])
    size = ffi.cast("unsigned int", ffi.sizeof(attributes))
    return int(ffi.errno) if lib.syscall(lib.SYS_bpf, ffi.cast("int", command), attributes, size) else 0


def _failure(hook: Hook, map_: int, number: int) -> SkepError:
    if number in NOT_PERMITTED:
        return privilege_error(f"attaching to {hook}", "CAP_NET_ADMIN")
    if number == errno.EBUSY:
        from skep.kernel.holders import attached, holder

        ids = [id_ for kind in (_TYPES[hook.kind], *_VERDICTS) for id_ in attached(map_, kind)[0]]
        held = holder(ids[0]) if ids else "a program of this kind, or of one that excludes it"
        return AttachError(f"{hook} is held by {held}", number)
    what = "the map holds no sockets, or not of this kind" if number == errno.EOPNOTSUPP else os.strerror(number)
    return AttachError(f"it cannot be attached to {hook}: {what}", number)
