"""Alarms of a watch, and the state of what is guarded, as lines of text."""

from __future__ import annotations

from skep.guard.evidence import Evidence
from skep.guard.state import Log, clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["alarm_lines", "status_line"]

# What flags mean that say most: memory that a program may write and execute.
_WORDS = {"mmap 0x7": "memory to be written and executed", "mprotect 0x7": "memory to be written and executed"}
_BRIEFLY = 3


def alarm_lines(alarm: dict[str, Any], *, whole: bool = False) -> Iterator[str]:
    """An alarm for people.

    Args:
        alarm: what `Guard.alarms` gave.
        whole: with all of its evidence and processes.
    """
    evidence = [
        Evidence(*(one[name] for name in ("kind", "what", "times", "seen", "usual"))) for one in alarm["evidence"]
    ]
    yield f"{alarm['alarm']}: {clock(alarm['began'])}: {alarm['program'] or 'the program'} does what it never did"
    for one in evidence if whole else evidence[:_BRIEFLY]:
        words = f" ({_WORDS[one.what]})" if one.what in _WORDS else ""
        yield f"  {one}{words}"
    if not whole and len(evidence) > _BRIEFLY:
        yield f"  and {len(evidence) - _BRIEFLY} more: skep guard explain {Log(alarm['profile']).name_of(alarm)}"
    for line in alarm["processes"] if whole else alarm["processes"][:1]:
        yield "  process " + " < ".join(f"{each['comm'] or '?'} ({each['pid']})" for each in line)
        if whole:
            yield from (f"    {each['pid']}: {each['command'] or each['exe']}" for each in line if each["exe"])
    if alarm.get("rebuilt"):
        yield "  it runs another build than any that was learned from"
    if alarm["reports_lost"]:
        yield f"  {alarm['reports_lost']} reports are missing: confidence {alarm['confidence']:.0%}"
    if "unkept" in alarm:
        yield f"  it is not kept: {alarm['unkept']}"
    if whole:
        expected = alarm["false_alarms_a_day"]
        yield f"  lasted {alarm['lasted']:.1f} s; at most {expected} false alarms a day are to be expected"


def status_line(status: dict[str, Any]) -> str:
    """One profile's state for people."""
    settled = (
        "settled" if status["settled"] else f"not settled ({status['new_pairs_in_10000_calls']} new pairs in 10,000)"
    )
    until = status["watched_until"]
    watched = f"watched until {clock(until)}" if until else "never watched"
    return (
        f"{status['name']}: {status['program'] or '(not said)'}: {status['calls']} calls in {status['runs']} runs, "
        f"{settled}; at most {status['false_alarms_a_day']} false alarms a day; {len(status['alarms'])} alarms; "
        f"{watched}; alone alarming: {', '.join(status['alarming_kinds']) or 'nothing'}"
    )
