"""Attach by BTF: to a tracepoint with typed arguments (tp_btf), a function (fentry, fexit, fmod_ret), or an LSM hook.

The target is settled when the program is loaded.

Minimum kernel: 5.5; LSM 5.7; sleepable forms 5.10. CONFIG_DEBUG_INFO_BTF; for LSM, CONFIG_BPF_LSM and ``bpf`` among the
security modules (/sys/kernel/security/lsm). Source: kernel/bpf/trampoline.c.
"""

from __future__ import annotations

import errno

from skep._native import ffi, lib, messages
from skep.base.errors import AttachError, HookMissingError
from skep.kernel.link.common import Attachment, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.base.errors import SkepError
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]

_SECURITY_MODULES = "/sys/kernel/security/lsm"


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:  # noqa: ARG001 - as every kind's
    """Attaches a program where it was loaded for."""
    if hook.kind == "lsm":
        _check_security_modules()
    link = lib.bpf_program__attach(program.handle)
    if link == ffi.NULL:
        number = ffi.errno
        raise _refusal(hook, number, messages())
    return Attachment(link)


def _check_security_modules() -> None:
    """A program on an LSM hook can be attached on every kernel built with them, and on some never runs."""
    try:
        with open(_SECURITY_MODULES, encoding="ascii") as file:
            modules = file.read().strip()
    except OSError:
        # Where securityfs is not mounted, nobody can tell.
        return
    if "bpf" not in modules.split(","):
        raise HookMissingError(
            "this kernel was booted without bpf among its security modules: no program on an LSM hook would run",
            remedy=f"Boot it with lsm={modules},bpf.",
        )


def _refusal(hook: Hook, number: int, log: str) -> SkepError:
    """What the kernel's trampolines mean (bpf_trampoline_link_prog)."""
    if number == errno.EBUSY:
        return AttachError(f"{hook} is held by another: this program, a live patch, or freplace", number)
    if number == errno.E2BIG:
        return AttachError(f"{hook} has as many programs as a function can have", number)
    return failure(hook, number, log)
