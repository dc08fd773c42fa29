"""Attach to a network namespace: to the choice of a socket for what comes (sk_lookup), or to the flow dissector.

The namespace is the one that skep runs in: ``ip netns exec NAME skep run ...`` is for another. Of sk_lookup several
programs run one after the other; of flow_dissector there is one.

Minimum kernel: 5.9 for sk_lookup; 5.8 for flow_dissector. Source: kernel/bpf/net_namespace.c (netns_bpf_link_create).
"""

from __future__ import annotations

import errno
import os

from skep.base.errors import NOT_PERMITTED, AttachError
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

_TYPES = {"flow_dissector": 17, "sk_lookup": 36}  # enum bpf_attach_type


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:  # noqa: ARG001 - as every kind's
    """Attaches a program to the network namespace of this process."""
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return linked(link_create(program.fd, namespace, _TYPES[hook.kind]))
    except OSError as error:
        raise _failure(hook, namespace, error.errno or 0) from None
    finally:
        os.close(namespace)


def _failure(hook: Hook, namespace: int, number: int) -> SkepError:
    if number in NOT_PERMITTED:
        return privilege_error(f"attaching to {hook}", "CAP_NET_ADMIN")
    if number in {errno.EEXIST, errno.E2BIG}:
        from skep.kernel.holders import attached, holder

        ids, _ = attached(namespace, _TYPES[hook.kind])
        # That of the first network namespace is before those of all others, and keeps them away.
        held = holder(ids[0]) if ids else "a program of the first network namespace"
        return AttachError(f"{hook} of this network namespace is held by {held}", number)
    return AttachError(f"it cannot be attached to {hook}: {os.strerror(number)}", number)
