"""Profiles, their differences and verdicts as plain data for `-o json`, and as lines of text."""

from __future__ import annotations

import numpy as np

from skep.guard.behaviour import call_name
from skep.guard.grams import last
from skep.guard.profile import SETTLED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.guard.evidence import Evidence
    from skep.guard.judging import Alarm, Verdict
    from skep.guard.profile import Profile

    Array = np.ndarray[Any, Any]

__all__ = [
    "difference",
    "difference_lines",
    "evaluation_lines",
    "evidence_data",
    "profile_data",
    "profile_lines",
    "verdict_data",
    "verdict_lines",
]

_MOST = 20


def profile_data(profile: Profile) -> dict[str, Any]:
    """What a profile holds."""
    program = profile.program
    return {
        "program": program.path,
        "build_ids": list(program.build_ids),
        "cgroup": program.cgroup,
        "architecture": profile.architecture,
        "runs": int(profile.runs.fused.total),
        "calls": profile.calls,
        "new_pairs_in_10000_calls": round(profile.unsettled, 2),
        "settled": profile.settled,
        "roles": {
            name: {
                "calls": role.grams.calls,
                "calls_a_second": round(role.grams.calls / role.seconds, 1) if role.seconds else None,
                "sequences": len(role.grams.keys),
                "system_calls": dict(_calls(profile, name)),
                "items": [
                    {"kind": kind, "value": value, "count": item.count, "runs": item.runs}
                    | {"first": item.first, "last": item.last}
                    for (kind, value), item in sorted(role.items.items())
                ],
            }
            for name, role in profile.roles.items()
        },
    }


def _calls(profile: Profile, role: str) -> Iterator[tuple[str, int]]:
    """The calls of a role and how often each was made, the most frequent first."""
    grams = profile.roles[role].grams
    counts = np.bincount(last(grams.keys, 1).astype(np.int64), grams.counts).astype(np.int64)
    for code in np.argsort(-counts, kind="stable").tolist():
        if counts[code]:
            yield call_name(code, profile.architecture), int(counts[code])


def profile_lines(profile: Profile) -> Iterator[str]:
    """The same for people, with the most frequent of each."""
    data = profile_data(profile)
    state = "settled" if profile.settled else f"not settled (at most {SETTLED:.0f}, and 5 runs)"
    yield f"program {data['program'] or '(not said)'}  {data['architecture']}  {' '.join(data['build_ids'])}".rstrip()
    yield f"learned from {data['calls']} calls in {data['runs']} runs"
    yield f"expects {profile.unsettled:.1f} new pairs of calls in 10,000 calls: {state}"
    for name, role in data["roles"].items():
        rate = f", {role['calls_a_second']} a second" if role["calls_a_second"] else ""
        yield f"threads {name}:" if name else "threads:"
        yield f"  {role['calls']} calls{rate}; {role['sequences']} sequences of seven"
        made = list(role["system_calls"].items())
        more = f" and {len(made) - _MOST} more" if len(made) > _MOST else ""
        yield "  " + ", ".join(f"{call} {count}" for call, count in made[:_MOST]) + more
        often = sorted(role["items"], key=lambda item: -item["count"])
        for item in often[:_MOST]:
            yield f"  {item['kind']} {item['value']}: {item['count']} times in {item['runs']} runs"
        if len(often) > _MOST:
            yield f"  and {len(often) - _MOST} items more"


def difference(left: Profile, right: Profile) -> dict[str, dict[str, list[str]]]:
    """What only the ``left`` of two profiles has, and what only the ``right``: roles, calls, pairs of calls, items."""
    found: dict[str, dict[str, list[str]]] = {}
    for side, mine, theirs in (("left", left, right), ("right", right, left)):
        only: dict[str, list[str]] = {"roles": sorted(set(mine.roles) - set(theirs.roles)), "calls": []}
        only |= {"pairs": [], "items": []}
        for name in sorted(set(mine.roles) & set(theirs.roles)):
            made = set(dict(_calls(theirs, name)))
            only["calls"] += [call for call, _ in _calls(mine, name) if call not in made]
            fresh = np.setdiff1d(mine.roles[name].grams.pairs, theirs.roles[name].grams.pairs)
            for pair in fresh.tolist():
                names = [call_name(code, mine.architecture) for code in (pair >> 9, pair & 511)]
                only["pairs"].append(" ".join(names))
            only["items"] += [
                f"{kind} {value}" for kind, value in mine.roles[name].items if not theirs.roles[name].knows(kind, value)
            ]
        found[side] = only
    return found


def difference_lines(found: dict[str, dict[str, list[str]]], names: dict[str, str]) -> Iterator[str]:
    """A difference for people.

    Args:
        found: what `difference` gave.
        names: of the two profiles, ``left`` and ``right``.
    """
    for side, only in found.items():
        for kind, values in only.items():
            if values:
                more = f" and {len(values) - _MOST} more" if len(values) > _MOST else ""
                yield f"only {names[side]}: {len(values)} {kind}: {', '.join(values[:_MOST])}{more}"


def verdict_data(verdict: Verdict) -> dict[str, Any]:
    """What was found in a run."""
    return {
        "run": verdict.run.name,
        "calls": verdict.run.calls,
        "lost": verdict.run.lost,
        "probability": float(f"{verdict.probability:.3g}"),
        "rarity": round(verdict.rarity, 2),
        "voices": {name: round(rare, 2) for name, rare in verdict.voices.items()},
        "nearest": verdict.nearest,
        "alarms": [_alarm_data(alarm) for alarm in verdict.alarms],
    }


def _alarm_data(alarm: Alarm) -> dict[str, Any]:
    return {
        "role": alarm.role,
        "thread": alarm.thread,
        "calls": [alarm.first, alarm.end],
        "rarity": round(alarm.rarity, 2),
        "lost": alarm.lost,
        "voices": {name: round(rare, 2) for name, rare in alarm.voices.items() if rare > 0},
        "evidence": [evidence_data(one) for one in alarm.evidence],
    }


def evidence_data(one: Evidence) -> dict[str, Any]:
    """One thing that was unusual."""
    return {"kind": one.kind, "what": one.what, "times": one.times, "seen": one.seen, "usual": one.usual}


def verdict_lines(verdict: Verdict, *, explain: bool) -> Iterator[str]:
    """The same for people.

    Args:
        verdict: of a run.
        explain: tell the voices and the evidence too.
    """
    lost = f", {verdict.run.lost} events lost: what was seen counts for less" if verdict.run.lost else ""
    many = f"{len(verdict.alarms)} alarm{'' if len(verdict.alarms) == 1 else 's'}"
    yield f"{verdict.run.name}: {_one_in(verdict.rarity)} normal runs is as unusual; {many}{lost}"
    if explain:
        yield f"  the whole run: {_voices(verdict.voices)}"
        yield f"  nearest training run by its mix of calls: {verdict.nearest}"
    for alarm in verdict.alarms:
        where = f" of {alarm.role}" if alarm.role else ""
        yield f"  alarm: calls {alarm.first} to {alarm.end - 1}{where}: {_voices(alarm.voices)}"
        if alarm.lost:
            yield f"    {alarm.lost} events are missing there: what was seen counts for less"
        if explain:
            yield from (f"    {one}" for one in alarm.evidence)


def _one_in(rarity: float) -> str:
    """A probability as people say it. Nothing learned from a few hundred runs says what one in a million is."""
    return "not one in a million" if rarity > np.log(1e6) else f"one in {np.exp(rarity):.3g}"


def _voices(voices: dict[str, float]) -> str:
    """Those that are rare, the rarest first, each as one in so many."""
    loud = sorted(((rare, name) for name, rare in voices.items() if rare > 2), reverse=True)
    return ", ".join(f"{name} ({_one_in(rare)})" for rare, name in loud) or "nothing rare"


def evaluation_lines(found: dict[str, Any]) -> Iterator[str]:
    """What `skep.guard.evaluation.evaluate` gave, for people."""
    for name, value in found.items():
        if not name.endswith("_interval"):
            low, high = found.get(f"{name}_interval", (None, None))
            yield f"{name:28}{value}" + ("" if low is None else f"  ({low} to {high})")
