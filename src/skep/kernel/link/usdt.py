"""Attach to a probe that a program or library was built with (USDT): ``libjvm:hotspot:gc__begin``.

A target is ``BINARY:PROVIDER:NAME``. A probe may stand in many places; libbpf finds where its arguments lie in each,
and the kernel counts up its semaphore, by which a program knows that somebody looks.

Minimum kernel: 4.20 for semaphores; 5.15 for libraries in any process. Source: tools/lib/bpf/usdt.c.
"""

from __future__ import annotations

import errno
import os

from skep._native import ffi, lib, messages
from skep.base.errors import AttachError
from skep.kernel.link.binary import find_binary, open_binary, refusal, split
from skep.kernel.link.common import Attachment
from skep.kernel.link.symbols import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from skep.kernel.link.executable import Executable
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]

_SUPPORT = {"__bpf_usdt_specs", "__bpf_usdt_ip_to_spec_id"}
# A remedy names them all, where these are few.
_FEW = 8


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:
    """Attaches a program to a probe: ``/usr/bin/python3:python:gc__start``."""
    name, probe = split(hook)
    binary = open_binary(find_binary(name, targets))
    probes = binary.probes()
    if probe not in probes:
        raise _missing(binary, probe, probes)
    if not program.maps.keys() >= _SUPPORT:
        raise AttachError(f"{hook} needs what <bpf/usdt.bpf.h> holds, and the source does not include it", errno.EINVAL)
    provider, _, point = probe.partition(":")
    pid = -1 if targets.pid is None else targets.pid
    options = ffi.new("struct bpf_usdt_opts *", {"sz": ffi.sizeof("struct bpf_usdt_opts")})
    link = lib.bpf_program__attach_usdt(program.handle, pid, *map(os.fsencode, (binary.path, provider, point)), options)
    if link == ffi.NULL:
        number = ffi.errno
        raise refusal(hook, targets, number, messages())
    return Attachment(link)


def _missing(binary: Executable, probe: str, probes: Collection[str]) -> AttachError:
    if not probes:
        return AttachError(
            f"{binary.path} was built without USDT probes",
            errno.ENOENT,
            remedy="It may have them in a library: --binary LIBRARY.",
        )
    known = f"The probes are: {', '.join(sorted(probes))}." if len(probes) <= _FEW else None
    return AttachError(f"{binary.path} has no probe {probe}", errno.ENOENT, remedy=did_you_mean(probe, probes) or known)
