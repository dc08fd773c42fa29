"""`Trial`: what the running kernel takes, found by trying, or by looking where a trial would look.

Minimum kernel: 5.5 for programs on types (tp_btf, fentry). Source: tools/lib/bpf/libbpf.c (libbpf_find_kernel_btf_id,
attach functions), kernel/bpf/syscall.c (bpf_tracing_prog_attach).
"""

from __future__ import annotations

import errno
import os
import re

from skep._native import lib, messages
from skep.base.errors import NOT_PERMITTED, AttachError, PrivilegeError, SkepError
from skep.kernel.features import UNTRIED, has_probes, load_nothing, missing_capabilities, tracefs
from skep.kernel.handlers import UNIX_CALLS
from skep.kernel.link.binary import find_binary, split
from skep.spec.targets import DEFAULT_FREQUENCY, Targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.spec.sections import Hook

__all__ = ["Trial"]

_NEEDS_ROOT = f"{UNTRIED}needs root"

_VMLINUX = "/sys/kernel/btf/vmlinux"
# enum bpf_prog_type and bpf_attach_type, include/uapi/linux/bpf.h
_TRACING, _LSM = 26, 29
_ATTACH_TYPES = {"tp_btf": 23, "fentry": 24, "fexit": 25, "fmod_ret": 26, "lsm": 27, "iter": 28, "lsm_cgroup": 43}
# Kinds that came late: (program type, attach type).
_LATE = {
    "netfilter": (32, 45),
    "syscall": (31, 0),
    **{f"cgroup/{call}_unix": (18, number) for call, number in UNIX_CALLS.items()},
}
# Kinds whose programs all accept the same little program.
_TRIED = {"tp_btf": _TRACING, "fentry": _TRACING, "fexit": _TRACING, "fmod_ret": _TRACING, "lsm": _LSM}
# What the kernel puts before the names of their targets, in those of functions.
_PREFIXES = {"tp_btf": "__traceiter_", "iter": "bpf_iter_"}
_SLEEPABLE = 1 << 4
# What only a kernel with kprobe.multi has (CONFIG_FPROBE).
_FPROBE = "register_fprobe_ips"
# ... and only one with kprobe.session.
_SESSION = "bpf_session_is_return"


class Trial:
    """Answers for one kernel file, so that what is read of the kernel is read once."""

    def __init__(self) -> None:
        self._symbols: bytes | None = None

    def why_not(self, hook: Hook) -> str:
        """Why this kernel takes no program on a hook; "" if it does, or if only attaching can tell.

        An answer that begins with `UNTRIED` is no refusal.

        Args:
            hook: what a section names.
        """
        if hook.kind in _LATE:
            error = _load(*_LATE[hook.kind], flags=_SLEEPABLE if hook.sleepable else 0)
            return _NEEDS_ROOT if error == errno.EPERM else f"this kernel has no {hook.kind}" if error else ""
        if hook.kind == "perf_event":
            return _event(hook)
        if not hook.target:
            return ""
        if hook.kind in _ATTACH_TYPES:
            return self._of_type(hook)
        if hook.kind.startswith(("kprobe", "kretprobe", "ksyscall", "kretsyscall")):
            return self._probe(hook)
        if hook.in_binary:
            return _binary(hook)
        if hook.kind == "tp":
            return _tracepoint(hook.target)
        if hook.kind.startswith("raw_tp"):
            return "" if self._has(f"__traceiter_{hook.target}") else f"this kernel has no tracepoint {hook.target}"
        return ""

    def _of_type(self, hook: Hook) -> str:
        """Loads a program that does nothing, on that target."""
        number = lib.libbpf_find_vmlinux_btf_id(os.fsencode(hook.target), _ATTACH_TYPES[hook.kind])
        messages()
        if number < 0:
            if not os.path.exists(_VMLINUX):
                return "this kernel has no BTF (type information)"
            # The types of a module are its own: libbpf finds them.
            name = _PREFIXES.get(hook.kind, "") + hook.target
            return "" if self._has(name, in_module=True) else f"this kernel has no {hook.target} for {hook.kind}"
        if hook.kind not in _TRIED:
            return ""
        flags = _SLEEPABLE if hook.sleepable else 0
        error = _load(_TRIED[hook.kind], _ATTACH_TYPES[hook.kind], btf_id=number, flags=flags)
        if not error:
            return ""
        if error in NOT_PERMITTED and missing_capabilities():
            return _NEEDS_ROOT
        what = f"sleeping {hook.kind}" if hook.sleepable else hook.kind
        return f"this kernel takes no {what} program on {hook.target} ({os.strerror(error)})"

    def _probe(self, hook: Hook) -> str:
        if not has_probes("kprobe"):
            return "this kernel has no kprobes"
        if "." in hook.kind and not (self._has(_FPROBE) and (hook.kind != "kprobe.session" or self._has(_SESSION))):
            return f"this kernel has no {hook.kind}"
        if "." in hook.kind and hook.is_pattern:
            return ""
        if "syscall" in hook.kind:
            found = self._has(rf"(?:__\w+_)?sys_{re.escape(hook.target)}", pattern=True)
        else:
            found = self._has(hook.target.partition("+")[0])
        return "" if found else f"this kernel has no {hook.target}"

    def _has(self, name: str, *, in_module: bool = False, pattern: bool = False) -> bool:
        """Whether the kernel, or a module of it, has a symbol; True where the kernel does not tell."""
        if self._symbols is None:
            try:
                with open("/proc/kallsyms", "rb") as file:
                    self._symbols = file.read()
            except OSError:
                self._symbols = b""
        end = r"\t\[" if in_module else r"(?:\t|$)"
        text = name if pattern else re.escape(name)
        return not self._symbols or re.search(os.fsencode(rf" {text}{end}"), self._symbols, re.MULTILINE) is not None


def _load(program_type: int, attach_type: int, *, btf_id: int = 0, flags: int = 0) -> int:
    """Loads a program that does nothing; 0, or the errno."""
    fd = load_nothing(program_type, attach_type, btf_id=btf_id, flags=flags)
    if fd < 0:
        return -fd
    os.close(fd)
    return 0


def _event(hook: Hook) -> str:
    """Opens it, for as long as that takes."""
    from skep.kernel.link.perf_event import open_samples

    try:
        for fd in open_samples(hook, DEFAULT_FREQUENCY, None):
            os.close(fd)
    except PrivilegeError:
        return _NEEDS_ROOT
    except SkepError as error:
        return error.message
    return ""


def _tracepoint(target: str) -> str:
    root = tracefs()
    if root is None:
        return f"{UNTRIED}tracefs is not mounted"
    try:
        os.stat(f"{root}/events/{target}/id")
    except PermissionError:
        return _NEEDS_ROOT
    except OSError:
        return f"this kernel has no tracepoint {target}"
    return ""


def _binary(hook: Hook) -> str:
    if not has_probes("uprobe"):
        return "this kernel has no uprobes"
    try:
        path = find_binary(split(hook)[0], Targets())
    except AttachError as error:
        return error.message
    return "" if os.path.exists(path) else f"there is no {path}"
