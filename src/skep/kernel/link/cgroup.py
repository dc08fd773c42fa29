"""Attach to a cgroup (version 2): to its packets, sockets and system calls of sockets, devices, sysctls.

A program sees what the tasks of the cgroup do, and of those below it. Programs of several users run one after the
other, each with its link, which goes with our process at the latest, or with the cgroup.

Minimum kernel: 5.7 (BPF_LINK_CREATE); sock_release 5.9, lsm_cgroup 6.0, Unix sockets 6.7. CONFIG_CGROUP_BPF.
Source: kernel/bpf/cgroup.c (cgroup_bpf_link_attach).
"""

from __future__ import annotations

import errno
import os
from functools import partial

from skep.base.errors import NOT_PERMITTED, AttachError, HookMissingError
from skep.kernel.features import privilege_error
from skep.kernel.handlers import UNIX_CALLS
from skep.kernel.link.common import link_create, linked
from skep.kernel.places import find_cgroup, lost_cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.base.errors import SkepError
    from skep.kernel.link.common import Attachment
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]

# Kind -> enum bpf_attach_type.
_TYPES = {
    "cgroup_skb/ingress": 0,
    "cgroup_skb/egress": 1,
    "cgroup/sock": 2,
    "cgroup/sock_create": 2,
    "sockops": 3,
    "cgroup/dev": 6,
    "cgroup/bind4": 8,
    "cgroup/bind6": 9,
    "cgroup/connect4": 10,
    "cgroup/connect6": 11,
    "cgroup/post_bind4": 12,
    "cgroup/post_bind6": 13,
    "cgroup/sendmsg4": 14,
    "cgroup/sendmsg6": 15,
    "cgroup/sysctl": 18,
    "cgroup/recvmsg4": 19,
    "cgroup/recvmsg6": 20,
    "cgroup/getsockopt": 21,
    "cgroup/setsockopt": 22,
    "cgroup/getpeername4": 29,
    "cgroup/getpeername6": 30,
    "cgroup/getsockname4": 31,
    "cgroup/getsockname6": 32,
    "cgroup/sock_release": 34,
    "lsm_cgroup": 43,
    **{f"cgroup/{call}_unix": number for call, number in UNIX_CALLS.items()},
}
# include/uapi/linux/bpf.h: how programs were attached that have no link.
_ALLOW_OVERRIDE, _ALLOW_MULTI = 1, 2


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:
    """Attaches a program to a cgroup, behind those that are there."""
    # The target of lsm_cgroup is a function, which was settled when it was loaded.
    path = (targets.cgroup or "") if hook.kind == "lsm_cgroup" else hook.target
    number = find_cgroup(path)
    kind = f"cgroup_skb/{targets.direction or 'ingress'}" if hook.kind == "cgroup/skb" else hook.kind
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        link = link_create(program.fd, folder, _TYPES[kind])
    except OSError as error:
        raise _failure(kind, path, error.errno or 0) from None
    finally:
        os.close(folder)
    return linked(link, partial(lost_cgroup, path, number))


def _failure(kind: str, path: str, number: int) -> SkepError:
    if number == errno.EPERM and (held := _held(path, _TYPES[kind])):
        return AttachError(
            f"{kind} of {path} is held by {held}",
            number,
            remedy="That one was attached so that no other may be beside it: give a cgroup that is not below it.",
        )
    if number in NOT_PERMITTED:
        return privilege_error(f"attaching to {kind} of {path}", "CAP_NET_ADMIN")
    if number == errno.EINVAL:
        return HookMissingError(f"this kernel has no {kind}")
    what = "it has 64 programs, and takes no more" if number == errno.E2BIG else os.strerror(number)
    return AttachError(f"it cannot be attached to {kind} of {path}: {what}", number)


def _held(path: str, attach_type: int) -> str:
    """Whose program keeps others away, from the cgroup or from one above it; "" if none does."""
    from skep.kernel.holders import attached, holder

    folder, allowed = os.path.realpath(path), _ALLOW_MULTI
    while os.path.exists(f"{folder}/cgroup.procs"):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        ids, flags = attached(fd, attach_type)
        os.close(fd)
        if ids and not flags & allowed:
            return holder(ids[0])
        # What is above may also have been attached to be overridden.
        folder, allowed = os.path.dirname(folder), _ALLOW_MULTI | _ALLOW_OVERRIDE
    return ""
