"""Why a run shows nothing, while it shows nothing: in words, with what would make it show something."""

from __future__ import annotations

from skep.view.formatters import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from skep.spec.sections import Hook

__all__ = ["filtered_line", "fired_by", "silence_line"]

# What runs programs of a kind, {target} being what they are on; the kinds that are not here name it by their target.
_FIRES = {
    **dict.fromkeys(("kprobe", "kprobe.multi", "kprobe.session", "fentry", "fmod_ret"), "the kernel calls {target}()"),
    **dict.fromkeys(("kretprobe", "kretprobe.multi", "fexit"), "{target}() of the kernel returns"),
    "ksyscall": "a task calls {target}(2)",
    "kretsyscall": "a call of {target}(2) returns",
    **dict.fromkeys(("uprobe", "uprobe.multi", "uprobe.session"), "a process calls {target}"),
    **dict.fromkeys(("uretprobe", "uretprobe.multi"), "a call of {target} returns"),
    "usdt": "a process passes the probe {target}",
    **dict.fromkeys(("tp_btf", "raw_tp", "raw_tp.w"), "the kernel passes the tracepoint {target}"),
    **dict.fromkeys(("lsm", "lsm_cgroup"), "the kernel asks for the permission {target}"),
    "xdp": "a packet arrives at the interface",
    **dict.fromkeys(("classifier", "action", "socket"), "a packet passes the interface"),
    **dict.fromkeys(("tcx/ingress", "tc/ingress"), "a packet arrives at the interface"),
    **dict.fromkeys(("tcx/egress", "tc/egress"), "a packet leaves by the interface"),
    "perf_event": "the event {target} is sampled",
    "iter": "it is read",
}


def fired_by(hook: Hook) -> str:
    """What makes a program run.

    Args:
        hook: what it is attached to.
    """
    group, _, name = hook.target.partition("/")
    if hook.kind == "tp" and group == "syscalls":
        if name.startswith("sys_enter_"):
            return _FIRES["ksyscall"].format(target=name.removeprefix("sys_enter_"))
        return _FIRES["kretsyscall"].format(target=name.removeprefix("sys_exit_"))
    if hook.kind == "tp":
        return _FIRES["tp_btf"].format(target=hook.target)
    known = _FIRES.get(hook.kind, "")
    return known.format(target=hook.target) if known and (hook.target or "{" not in known) else f"{hook} happens"


def filtered_line(count: int) -> str:
    """What is said where --filter lets nothing through.

    Args:
        count: of the records that came.
    """
    return f"{count} record{' was' if count == 1 else 's were'} read, and --filter let none through"


def silence_line(
    seconds: int,
    hooks: Mapping[str, Hook],
    *,
    runs: Mapping[str, int] | None,
    lost: int | None,
    out_of_scope: int,
    filtered: int = 0,
) -> str:
    """Tells apart: programs never ran; they, or --filter, dropped all; rings were full; all was of others.

    Args:
        seconds: for which nothing was shown.
        hooks: what each program is attached to, by its name.
        runs: how often each ran; None where the kernel does not tell.
        lost: records that found no room; None where nobody counts them.
        out_of_scope: records of tasks that were not asked for.
        filtered: records that were read, where --filter let none of them through.
    """
    begin = f"nothing for {seconds} s: "
    if filtered:
        return begin + filtered_line(filtered)
    if lost:
        return f"{begin}{lost} records found no room: larger rings or maps have it (--map NAME.max_entries=N)"
    if out_of_scope:
        return f"{begin}{out_of_scope} records were of processes that were not asked for (--system shows all)"
    if runs is None:
        return f"{begin}whether programs ran is not told without root"
    if any(runs.values()):
        ran = ", ".join(f"{escape(name)} {count} times" for name, count in runs.items() if count)
        return f"{begin}programs ran ({ran}) and sent nothing: their filters let nothing through"
    waits = dict.fromkeys(f"{escape(name)} runs when {escape(fired_by(hook))}" for name, hook in hooks.items())
    return f"{begin}no program ran yet: {'; '.join(waits)}"
