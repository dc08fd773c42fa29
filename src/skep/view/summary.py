"""The account of a run, in words."""

from __future__ import annotations

from skep.view.formatters import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["summary_lines"]


def summary_lines(
    *,
    events: Mapping[str, int],
    lost: int | None,
    out_of_scope: int,
    runs: Mapping[str, int] | None,
    streams: int,
    command: tuple[str, int] | None,
    living: Sequence[int],
    missed: int,
    not_attached: Mapping[str, str],
    unheard: Sequence[int],
    unheard_missed: bool,
) -> list[str]:
    """What was seen, what was not, and why, one sentence a line.

    Args:
        events: records shown, by source.
        lost: records dropped by the kernel; None where nobody counts them.
        out_of_scope: records of tasks outside of the traced tree.
        runs: how often each program ran; None where the kernel does not tell.
        streams: how many sources of records the kernel file has.
        command: the traced command and its exit status (negative: a signal), or None.
        living: processes of the command's tree that have not ended.
        missed: tasks that could not be followed.
        not_attached: why programs were not attached, by name.
        unheard: CPUs that came online during the run, whose records in perf buffers are lost.
        unheard_missed: whether there may be more of these.
    """
    total = sum(events.values())
    by_source = (
        f" ({', '.join(f'{escape(name)} {count}' for name, count in events.items())})" if len(events) > 1 else ""
    )
    parts = [f"{total} event{'' if total == 1 else 's'}{by_source}"]
    parts.append("lost not counted (skep_reserve of skep.h counts)" if lost is None else f"{lost} lost")
    if out_of_scope:
        parts.append(f"{out_of_scope} out of scope")
    lines = [", ".join(parts)]
    if unheard:
        cpus = ", ".join(str(cpu) for cpu in unheard)
        lines.append(f"records of CPU {cpus} are missing: what comes online during a run is not read; start it anew")
    if unheard_missed:
        others = "other CPUs" if unheard else "CPUs"
        lines.append(f"whether {others} came online is not known: more devices came and went than the kernel announces")
    if runs:
        lines.append("runs: " + ", ".join(f"{escape(name)} {count}" for name, count in runs.items()))
    if not_attached:
        by_reason: dict[str, list[str]] = {}
        for name, why in not_attached.items():
            by_reason.setdefault(escape(why), []).append(escape(name))
        lines.append("not attached: " + "; ".join(f"{', '.join(names)} ({why})" for why, names in by_reason.items()))
    if runs and not any(runs.values()):
        lines.append("no program ever ran: what they are attached to did not happen")
    elif runs and streams and not total and not out_of_scope and not lost:
        lines.append("programs ran, and sent nothing: their filters let nothing through")
    if command is not None:
        name, status = command
        how = f"was ended by signal {-status}" if status < 0 else f"exited with {status}"
        if status:
            lines.append(f"{escape(name)} {how}")
    if living:
        lines.append(f"still running, started by the command: {', '.join(str(pid) for pid in living)}")
    if missed:
        lines.append(f"at least {missed} tasks were not followed: the tree has more than 16384")
    return lines
