"""Attach by BTF: to a tracepoint with typed arguments (tp_btf), a function (fentry, fexit, fmod_ret), or an LSM hook.

The target is settled when the program is loaded.

Minimum kernel: 5.5; LSM 5.7; sleepable forms 5.10. CONFIG_DEBUG_INFO_BTF; for LSM, CONFIG_BPF_LSM and ``bpf`` among the
security modules (/sys/kernel/security/lsm). Source: kernel/bpf/trampoline.c.
"""

from __future__ import annotations

from skep._native import lib
from skep.kernel.link.common import checked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.kernel.link.common import Attachment
    from skep.kernel.program import Program
    from skep.spec.sections import Hook
    from skep.spec.targets import Targets

__all__ = ["attach"]


def attach(program: Program, hook: Hook, targets: Targets) -> Attachment:  # noqa: ARG001 - as every kind's
    """Attaches a program where it was loaded for."""
    return checked(lib.bpf_program__attach(program.handle), hook)
