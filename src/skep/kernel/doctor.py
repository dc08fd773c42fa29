"""What skep needs of this machine, and what of it is there: as plain data, for `skep doctor`.

Hooks are tried (`skep.kernel.attempts`); the rest is read where the kernel tells it. Nothing compares versions.
"""

from __future__ import annotations

import errno
import os

from skep._native import ffi, lib
from skep.base.errors import NOT_PERMITTED, SkepError
from skep.kernel.alternatives import Plan
from skep.kernel.attempts import KINDS, attempt
from skep.kernel.features import LOADING, UNTRIED, beside
from skep.kernel.machine import Finding, kernel_findings, process_findings
from skep.kernel.privileges import lacking
from skep.kernel.trial import Trial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from skep.spec.objectspec import ObjectSpec

__all__ = ["Report", "examine", "needed_for"]

_NETWORK = ("xdp", "tc", "tcx", "netfilter", "cgroup", "sk_lookup", "flow_dissector", "sk_msg", "sk_skb")
# What networks need beside the two; the others: `skep.kernel.features.beside`.
_BESIDE = {
    "socket": ["CAP_NET_RAW"],
    **{kind: ["CAP_NET_ADMIN"] for kind in _NETWORK},
}
# What is no hook needs only these.
_ALONE = {"bpf_printk": ["CAP_DAC_OVERRIDE"], "run counts": ["CAP_SYS_ADMIN"]}
_TRAMPOLINES = "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS and CONFIG_BPF_JIT (x86-64 5.5, arm64 6.0)"
_BUILT_WITH = {
    "tp": "CONFIG_EVENT_TRACING, and tracefs mounted",
    "raw_tp": "CONFIG_BPF_EVENTS (4.17)",
    "tp_btf": "CONFIG_DEBUG_INFO_BTF (5.5)",
    **dict.fromkeys(("fentry", "fexit", "fmod_ret"), _TRAMPOLINES),
    "kprobe": "CONFIG_KPROBE_EVENTS",
    "kprobe.multi": "CONFIG_FPROBE (5.18)",
    "uprobe": "CONFIG_UPROBE_EVENTS",
    "uprobe.multi": "CONFIG_UPROBE_EVENTS (6.6)",
    "lsm": "CONFIG_BPF_LSM (5.7), and trampolines as for fentry",
    "perf_event": "CONFIG_PERF_EVENTS",
    "hardware events": "a PMU, which virtual machines have only if they are given one",
    "iter": "CONFIG_DEBUG_INFO_BTF (5.8)",
    "syscall": "CONFIG_BPF_SYSCALL (5.14)",
    "tcx": "CONFIG_NET_XGRESS (6.6)",
    "netfilter": "CONFIG_NETFILTER_BPF_LINK (6.4)",
    **dict.fromkeys(("sk_lookup", "flow_dissector"), "CONFIG_NET (5.9, 4.20)"),
    **dict.fromkeys(("sk_msg", "sk_skb"), "CONFIG_NET_SOCK_MSG (4.17)"),
    "struct_ops": "CONFIG_BPF_JIT and CONFIG_DEBUG_INFO_BTF (5.6)",
    "cgroup": "CONFIG_CGROUP_BPF",
    "bpf_printk": "tracefs mounted, and instances in it",
    "run counts": "5.8",
}
_LACKING = {errno.ENOENT, errno.ENODEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.E2BIG}


class Report:
    """What was found.

    Args:
        sections: their findings, by title.
        works: whether every tool of the gallery runs.
    """

    __slots__ = ("sections", "works")

    def __init__(self, sections: Mapping[str, list[Finding]], *, works: bool) -> None:
        self.sections = sections
        self.works = works


def examine(tools: Mapping[str, ObjectSpec | None]) -> Report:
    """Examines this machine, and what of it this process may use.

    Args:
        tools: those of the gallery by name; None for one that has to be compiled first.
    """
    from threading import Thread

    opened: list[int] = []
    hooks = [_try(kind, opened) for kind in KINDS]
    # To close an event takes long, and nobody has to wait for it.
    closing = Thread(target=_close, args=(opened,))
    closing.start()
    builders = _builders()
    known = {finding.name: finding for finding in [*hooks, *builders]}
    trial = Trial()
    gallery = [_tool(name, spec, known, trial) for name, spec in tools.items()]
    closing.join()
    sections = {
        "This process": process_findings(),
        "The kernel": kernel_findings(),
        "Hooks": hooks,
        "What compiles kernel files": builders,
        "The gallery": gallery,
    }
    return Report(sections, works=all(finding.state == "yes" for finding in gallery))


def needed_for(kind: str) -> list[str]:
    """The capabilities that a kind needs here; tests/kernel/test_privileges.py holds it against the kernel.

    Args:
        kind: one of `skep.kernel.attempts.KINDS`.
    """
    # A hardware event is tried without a program; it is of use with one only.
    kind = kind.replace("hardware events", "perf_event")
    return _ALONE.get(kind) or [*LOADING, *_BESIDE.get(kind, ()), *beside(kind)]


def _close(opened: list[int]) -> None:
    for fd in opened:
        os.close(fd)


def _try(kind: str, opened: list[int]) -> Finding:
    try:
        opened += attempt(kind)
    except OSError as error:
        return _refused(kind, error)
    if kind == "lsm":
        return _listed_lsm()
    return Finding(kind, "yes")


def _refused(kind: str, error: OSError) -> Finding:
    built_with = _BUILT_WITH.get(kind, "CONFIG_BPF_SYSCALL")
    if error.errno in NOT_PERMITTED:
        missing = lacking(needed_for(kind))
        if missing:
            return Finding(kind, "untried", f"needs {', '.join(missing)}")
        return Finding(
            kind,
            "no",
            f"refused ({os.strerror(error.errno)}), by how the kernel was built or locked down",
            f"a kernel with {built_with}",
        )
    if error.errno in _LACKING:
        return Finding(kind, "no", "this kernel has none", f"needs {built_with}")
    return Finding(kind, "no", f"refused: {error.strerror}", f"needs {built_with}")


def _listed_lsm() -> Finding:
    """Programs on LSM hooks load, and never run, where bpf is not among the security modules."""
    try:
        with open("/sys/kernel/security/lsm", encoding="ascii") as file:
            modules = file.read().strip()
    except OSError:
        return Finding(
            "lsm",
            "untried",
            "programs load; whether they run is told by /sys/kernel/security/lsm, which cannot be read",
            "sudo mount -t securityfs securityfs /sys/kernel/security",
        )
    if "bpf" in modules.split(","):
        return Finding("lsm", "yes")
    return Finding("lsm", "no", "bpf is not among the security modules", f"boot with lsm={modules},bpf")


def _builders() -> list[Finding]:
    """What a kernel file that is not built yet needs."""
    from importlib.util import find_spec

    from skep.spec.cache import cache_folder
    from skep.spec.compiler import find_compiler

    looks: dict[str, Callable[[], str]] = {
        "cache": lambda: cache_folder("objects"),
        "clang": lambda: " ".join(find_compiler().command),
        "libclang": _libclang,
    }
    found = [Finding("libbpf", "yes", ffi.string(lib.libbpf_version_string()).decode())]
    for name, look in looks.items():
        try:
            found.append(Finding(name, "yes", look()))
        except SkepError as error:
            found.append(Finding(name, "no", error.message, error.remedy or ""))
    has_zig = find_spec("ziglang") is not None
    found.append(Finding("ziglang", "", "installed" if has_zig else "not installed; it serves where no clang is"))
    return found


def _libclang() -> str:
    from skep.spec.libclang import load_libclang

    load_libclang()
    return ""


def _tool(name: str, spec: ObjectSpec | None, known: Mapping[str, Finding], trial: Trial) -> Finding:
    """Whether a tool runs: whether there is a program of it to attach, and each such is of a kind that works."""
    if spec is None:
        compiler = known["clang"]
        if compiler.state == "yes":
            return Finding(name, "untried", "not built", f"skep run {name} builds it")
        return Finding(name, "no", f"not built, and {compiler.text}", compiler.remedy)
    plan = Plan(spec, why_not=trial.why_not)
    outlook = plan.outlook()
    # What is open the user fills in.
    kinds = [
        _kind(plan.hooks[each].kind) for each, (would, _) in outlook.items() if would is not False or each in plan.open
    ]
    if not kinds:
        reasons = list(dict.fromkeys(why for _, why in outlook.values()))
        return Finding(name, "no", "; ".join(reasons))
    kinds += ["bpf_printk"] if spec.prints else []
    for kind in dict.fromkeys(kinds):
        finding = known.get(kind)
        if finding is not None and finding.state != "yes":
            return Finding(name, finding.state, f"{kind}: {finding.text}", finding.remedy)
    why = next((why for _, why in outlook.values() if why.startswith(UNTRIED)), "")
    return Finding(name, "untried" if why else "yes", why)


def _kind(kind: str) -> str:
    """As which of the kinds that were tried a program is attached."""
    if kind.startswith(("cgroup", "sockops", "lsm_cgroup")):
        return "cgroup"
    if kind.startswith(("tc/", "tcx/")):
        return "tcx"
    if kind.startswith("sk_skb"):
        return "sk_skb"
    if kind in {"classifier", "action"}:
        return "tc"
    if kind == "usdt":
        return "uprobe"
    kind = kind.replace("ksyscall", "kprobe").replace("kretsyscall", "kprobe").replace("retprobe", "probe")
    return kind.replace(".session", ".multi").replace("raw_tp.w", "raw_tp").replace("xdp.frags", "xdp")
