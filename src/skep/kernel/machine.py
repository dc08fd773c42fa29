"""What this process may do, and how the kernel is set up, as far as they tell."""

from __future__ import annotations

import os

from skep.kernel.features import CONFIDENTIALITY, lockdown, missing_capabilities, perf_paranoid, tracefs
from skep.kernel.privileges import NUMBERS, capabilities, in_initial_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Finding", "kernel_findings", "process_findings"]


class Finding:
    """One thing that was looked at.

    Args:
        name: of it.
        state: ``yes``, ``no``, ``untried``, or "" where there is no better and worse.
        text: what was found.
        remedy: what to do where it is not ``yes``.
    """

    __slots__ = ("name", "remedy", "state", "text")

    def __init__(self, name: str, state: str, text: str = "", remedy: str = "") -> None:
        self.name = name
        self.state = state
        self.text = text
        self.remedy = remedy


def process_findings() -> list[Finding]:
    """Who this process is, and what it may do."""
    effective = capabilities()
    held = [name for name, number in NUMBERS.items() if effective >> number & 1]
    missing = missing_capabilities()
    found = [Finding("user", "", str(os.geteuid()))]
    if not in_initial_namespace():
        found.append(
            Finding(
                "capabilities", "no", "those of a user namespace do not count for eBPF", "run it as root on the host"
            )
        )
    elif missing:
        found.append(Finding("capabilities", "no", f"lacks {', '.join(missing)}", "sudo skep ..."))
    else:
        found.append(Finding("capabilities", "yes", ", ".join(held)))
    return found


def kernel_findings() -> list[Finding]:
    """How the kernel was built, booted and set up, where that matters to skep."""
    return [
        Finding("release", "", f"{os.uname().release} {os.uname().machine}"),
        _btf(),
        _tracefs(),
        *_mounts(),
        _lockdown(),
        *_settings(),
    ]


def _btf() -> Finding:
    if os.path.exists("/sys/kernel/btf/vmlinux"):
        return Finding("BTF", "yes", "/sys/kernel/btf/vmlinux")
    remedy = "a kernel with CONFIG_DEBUG_INFO_BTF=y, or its BTF with --btf FILE"
    return Finding("BTF", "no", "this kernel has no type information", remedy)


def _tracefs() -> Finding:
    place = tracefs()
    if place is None:
        return Finding(
            "tracefs",
            "no",
            "not mounted",
            "sudo mount -t tracefs tracefs /sys/kernel/tracing (skep run does it as root)",
        )
    if not os.access(f"{place}/events", os.R_OK | os.X_OK, effective_ids=True):
        return Finding(
            "tracefs",
            "untried",
            f"{place} is not readable for this user",
            f"as root; or for a group: sudo mount -o remount,mode=750,gid=GROUP {place}",
        )
    return Finding("tracefs", "yes", place)


def _mounts() -> Iterator[Finding]:
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        mounts = [line.split() for line in file]
    for kind, what, remedy in (
        ("bpf", "bpffs, where programs and maps are pinned", "sudo mount -t bpf bpf /sys/fs/bpf"),
        ("cgroup2", "for programs on cgroups", "sudo mount -t cgroup2 cgroup2 FOLDER"),
    ):
        places = [mount[1] for mount in mounts if mount[2] == kind]
        yield Finding(kind, "yes", ", ".join(places)) if places else Finding(kind, "no", f"not mounted: {what}", remedy)
    if any(mount[2] == "cgroup" for mount in mounts):
        yield Finding("cgroup", "", "version 1 is mounted too: programs see only version 2")


def _lockdown() -> Finding:
    level = lockdown()
    if level is None:
        return Finding("lockdown", "", "not told: securityfs is not mounted, or the kernel has no lockdown")
    if level == CONFIDENTIALITY:
        return Finding(
            "lockdown",
            "no",
            "confidentiality: programs may not read the kernel's memory",
            "boot with lockdown=integrity",
        )
    return Finding("lockdown", "yes", level)


def _settings() -> Iterator[Finding]:
    """The settings (sysctl) that decide who may do what."""
    unprivileged = _read("/proc/sys/kernel/unprivileged_bpf_disabled")
    yield Finding(
        "kernel.unprivileged_bpf_disabled",
        "",
        f"{unprivileged}: {'anybody may load some programs' if unprivileged == '0' else 'CAP_BPF is needed'}",
    )
    paranoid = perf_paranoid()
    if paranoid > 2:
        what = "events (tp, kprobe, uprobe, perf_event) are opened by CAP_SYS_ADMIN, and not by CAP_PERFMON"
        remedy = "sudo sysctl kernel.perf_event_paranoid=2"
        yield Finding("kernel.perf_event_paranoid", "no", f"{paranoid}: {what}", remedy)
    else:
        yield Finding("kernel.perf_event_paranoid", "yes", f"{paranoid}: CAP_PERFMON opens events")
    restrict = _read("/proc/sys/kernel/kptr_restrict")
    if restrict == "2":
        remedy = "sudo sysctl kernel.kptr_restrict=1"
        yield Finding("kernel.kptr_restrict", "no", "2: addresses of kernel functions are told to nobody", remedy)
    else:
        whom = "with CAP_SYSLOG" if restrict == "1" else "to all but at perf_event_paranoid > 1"
        yield Finding("kernel.kptr_restrict", "yes", f"{restrict}: addresses of kernel functions are told, {whom}")
    statistics = _read("/proc/sys/kernel/bpf_stats_enabled")
    running = "for all programs, which slows each" if statistics == "1" else "skep counts while it runs"
    yield Finding("kernel.bpf_stats_enabled", "", f"{statistics}: {running}")
    jit = _read("/proc/sys/net/core/bpf_jit_enable")
    if jit == "0":
        remedy = "sudo sysctl net.core.bpf_jit_enable=1"
        yield Finding("net.core.bpf_jit_enable", "no", "0: programs are interpreted, fentry is not possible", remedy)
    elif jit is not None:
        yield Finding("net.core.bpf_jit_enable", "yes", jit)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None
