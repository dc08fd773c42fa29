"""What this machine lets us do, found by trying: capabilities, tracefs, libbpf.

Nothing here compares versions.
"""

from __future__ import annotations

import os

from skep._native import ffi, lib, messages
from skep.base.errors import NOT_PERMITTED, PrivilegeError, UnsupportedError
from skep.kernel.privileges import in_initial_namespace, lacking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CONFIDENTIALITY",
    "LOADING",
    "UNLOCK",
    "UNTRIED",
    "beside",
    "has_probes",
    "instead_of",
    "load_nothing",
    "lockdown",
    "missing_capabilities",
    "mount_tracefs",
    "online_cpus",
    "perf_paranoid",
    "possible_cpus",
    "privilege_error",
    "tracefs",
]

UNTRIED = "not tried: "
"""How an answer begins that is no refusal: this process may not ask."""

LOADING = ("CAP_BPF", "CAP_PERFMON")
"""Since 5.8 these two are enough to load, and for most hooks; before, and instead of them, CAP_SYS_ADMIN."""

# It returns 0.
_NOTHING = bytes.fromhex("b7000000000000009500000000000000")
_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_AS_ROOT = 'Run it as root: sudo skep ... (or sudo env PATH="$PATH" skep ... for a virtual environment).'
# The highest kernel.perf_event_paranoid at which CAP_PERFMON opens events.
_FOR_PERFMON = 2
_LOCKDOWN = "/sys/kernel/security/lockdown"
CONFIDENTIALITY = "confidentiality"
"""The lockdown under which nobody may read the kernel's memory: there are no kprobes, and no helpers for it."""
UNLOCK = "Boot it with lockdown=integrity."
"""What to do about it."""
_PARANOID = "/proc/sys/kernel/perf_event_paranoid"
# Kinds that are events of perf: perf_event_open(2).
_EVENTS = {"tp", "kprobe", "kretprobe", "ksyscall", "kretsyscall", "uprobe", "uretprobe", "usdt", "perf_event"}
_UPROBES = {"uprobe", "uretprobe", "usdt"}


def missing_capabilities(*more: str) -> list[str]:
    """The capabilities for loading and attaching that this process does not have.

    Args:
        more: others that are needed: CAP_NET_ADMIN, CAP_NET_RAW.
    """
    return lacking([*LOADING, *more])


def beside(kind: str) -> list[str]:
    """The capabilities that a hook may need beside those for loading; what networks need, their modules say.

    Args:
        kind: of the hook.
    """
    needed = ["CAP_DAC_READ_SEARCH"] if kind == "tp" else []
    # Since 6.16, and in stable kernels of 2025, a uprobe is root's: one in the middle of an instruction breaks what it
    # is in (kernel/events/core.c, perf_uprobe_event_init).
    if kind in _UPROBES or (kind in _EVENTS and perf_paranoid() > _FOR_PERFMON):
        needed.append("CAP_SYS_ADMIN")
    return needed


def instead_of(kind: str) -> dict[str, str]:
    """What else lets a program be attached than a capability that `beside` names: capability -> remedy.

    Args:
        kind: of the hook.
    """
    found = {}
    if kind == "tp":
        # Its files are the group's that it was mounted for, if it was mounted so, and else for root alone.
        remount = f"sudo mount -o remount,mode=750,gid=GROUP {tracefs()}"
        found["CAP_DAC_READ_SEARCH"] = f"Or let a group of yours read tracefs: {remount}"
    if kind in _EVENTS and perf_paranoid() > _FOR_PERFMON:
        found["CAP_SYS_ADMIN"] = (
            f"Or let CAP_PERFMON open events: sudo sysctl kernel.perf_event_paranoid={_FOR_PERFMON}"
        )
    elif kind in _UPROBES:
        found["CAP_SYS_ADMIN"] = (
            "Where the kernel has uprobe.multi (Linux 6.6), CAP_BPF and CAP_PERFMON are enough for that."
        )
    return found


def has_probes(kind: str) -> bool:
    """Whether the kernel has probes of a kind: each kind is a device.

    Args:
        kind: ``kprobe`` or ``uprobe``.
    """
    return os.path.exists(f"/sys/bus/event_source/devices/{kind}")


def load_nothing(program_type: int, attach_type: int, *, btf_id: int = 0, flags: int = 0) -> int:
    """Loads a program that does nothing, to see whether the kernel takes it.

    Args:
        program_type: of enum bpf_prog_type.
        attach_type: of enum bpf_attach_type.
        btf_id: of the type in the kernel's BTF that it is on.
        flags: of the program.

    Returns:
        A file descriptor, or a negative errno.
    """
    options = ffi.new("struct bpf_prog_load_opts *")
    options.sz = ffi.sizeof("struct bpf_prog_load_opts")
    options.expected_attach_type = attach_type
    options.attach_btf_id = btf_id
    options.prog_flags = flags
    instructions = ffi.cast("struct bpf_insn *", ffi.from_buffer(_NOTHING))
    fd = lib.bpf_prog_load(program_type, b"trial", b"GPL", instructions, len(_NOTHING) // 8, options)
    messages()
    return int(fd)


def perf_paranoid() -> int:
    """The setting kernel.perf_event_paranoid. Above 2, which Debian and Ubuntu have, CAP_PERFMON opens no event."""
    with open(_PARANOID, encoding="ascii") as file:
        return int(file.read())


def privilege_error(what: str, *more: str, instead: Mapping[str, str] | None = None) -> PrivilegeError:
    """The error for an EPERM of the kernel.

    Args:
        what: what was not permitted, as the start of a sentence.
        more: capabilities that it needs beside those for loading.
        instead: capability -> what else would do, where it is lacking.
    """
    missing = missing_capabilities(*more)
    if missing and not in_initial_namespace():
        return PrivilegeError(
            f"{what} is not permitted: in a user namespace, capabilities do not count for eBPF",
            remedy="Run it as root on the host.",
        )
    if not missing:
        # The two are enough for most, and what is not like most is root's.
        missing = lacking(["CAP_SYS_ADMIN"])
    if missing:
        known = instead or {}
        remedies = [_AS_ROOT, *(known[name] for name in missing if name in known)]
        return PrivilegeError(
            f"{what} is not permitted: this process lacks {', '.join(missing)}", remedy="\n".join(remedies)
        )
    if lockdown() == CONFIDENTIALITY:
        return PrivilegeError(f"{what} is not permitted: this kernel is locked down (confidentiality)", remedy=UNLOCK)
    return PrivilegeError(
        f"{what} is not permitted, though this process may load programs: the kernel was built or locked down so",
        remedy=f"cat {_LOCKDOWN} shows whether it is locked down.",
    )


def lockdown() -> str | None:
    """How far this kernel is locked down: ``none``, ``integrity``, ``confidentiality``; None if it does not tell.

    Minimum kernel: 5.4. Source: security/lockdown/lockdown.c.
    """
    try:
        with open(_LOCKDOWN, encoding="ascii") as file:
            return file.read().partition("[")[2].partition("]")[0]
    except OSError:
        return None


def tracefs() -> str | None:
    """Where tracefs is mounted; None if nowhere."""
    for path in _TRACEFS:
        try:
            os.stat(f"{path}/events")
        except FileNotFoundError:
            continue
        except PermissionError:
            # Mounted, and for root only: what reads it will say so.
            return path
        return path
    return None


def mount_tracefs() -> bool:
    """Mounts tracefs at its usual place if it is mounted nowhere, as libtracefs and systemd do. It stays mounted.

    Returns:
        True if it was mounted now.

    Raises:
        UnsupportedError: it cannot be mounted.
    """
    if tracefs() is not None:
        return False
    if lib.mount(b"tracefs", _TRACEFS[0].encode(), b"tracefs", 0, ffi.NULL):
        number = ffi.errno
        if number in NOT_PERMITTED:
            raise PrivilegeError(
                f"tracefs is not mounted, and mounting it is not permitted: {os.strerror(number)}",
                remedy=f"sudo mount -t tracefs tracefs {_TRACEFS[0]}",
            )
        raise UnsupportedError(
            f"tracefs cannot be mounted at {_TRACEFS[0]}: {os.strerror(number)}",
            remedy="The kernel needs CONFIG_FTRACE and CONFIG_EVENT_TRACING.",
        )
    return True


def online_cpus() -> list[int]:
    """The numbers of the CPUs that are online."""
    return _cpus("online")


def possible_cpus() -> list[int]:
    """The numbers of the CPUs that may ever be online."""
    return _cpus("possible")


def _cpus(which: str) -> list[int]:
    """Those of /sys/devices/system/cpu, as ``0-3,5``."""
    cpus: list[int] = []
    with open(f"/sys/devices/system/cpu/{which}", encoding="ascii") as file:
        for part in file.read().strip().split(","):
            first, _, last = part.partition("-")
            cpus += range(int(first), int(last or first) + 1)
    return cpus
