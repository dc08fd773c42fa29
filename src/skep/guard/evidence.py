"""What made a window unusual, in words: the sequences and items, how rare each is, and what is usual in their place."""

from __future__ import annotations

import numpy as np

from skep.guard.behaviour import call_name
from skep.guard.grams import ORDER, calls_of, last

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from skep.guard.sequence import Sequences

    Array = np.ndarray[Any, Any]

__all__ = ["Evidence", "gather"]

_MOST = 5


class Evidence:
    """One thing that was unusual.

    Args:
        kind: ``call`` (never made before), ``sequence``, or an item's kind: ``path``, ``peer``, ``child``,
        ``arguments``,
            ``result``.
        what: the call, the sequence, or the item.
        times: how often it happened in the episode.
        seen: how often it was seen in training.
        usual: what comes there normally, and how often of a hundred times; "" where nothing is known.
    """

    __slots__ = ("kind", "seen", "times", "usual", "what")

    def __init__(self, kind: str, what: str, times: int, seen: int, usual: str) -> None:
        self.kind = kind
        self.what = what
        self.times = times
        self.seen = seen
        self.usual = usual

    def __str__(self) -> str:
        often = f"{self.times} times" if self.times > 1 else "once"
        seen = f"seen {self.seen} times in training" if self.seen else "never seen in training"
        return f"{self.kind} {self.what}: {often}, {seen}" + (f"; usual: {self.usual}" if self.usual else "")


def gather(
    model: Sequences, keys: Array, surprise: Array, items: Sequence[tuple[str, str]], architecture: str
) -> list[Evidence]:
    """The evidence of an episode: new items first, then what adds most to its surprise.

    Args:
        model: of the thread's role.
        keys: of its calls.
        surprise: of each call, in nats.
        items: the kind and value of those that were never seen, as often as they were now.
        architecture: of the calls.
    """
    found = [Evidence(*item, items.count(item), 0, "") for item in list(dict.fromkeys(items))[:_MOST]]
    known, place, times = np.unique(keys, return_inverse=True, return_counts=True)
    told: dict[tuple[str, str], Evidence] = {}
    # What is told of one sequence covers those that end alike.
    for index in np.argsort(-np.bincount(place, surprise), kind="stable")[: 8 * _MOST].tolist():
        key, evidence = int(known[index]), None
        for order in range(1, ORDER + 1):
            seen, followed = model.seen(key, order)
            # The shortest sequence that is unusual says most.
            if seen * 20 < followed or (order == 1 and not seen):
                evidence = _sequence(model, key, order, seen, followed, architecture)
                break
        if evidence is not None and (evidence.kind, evidence.what) not in told:
            ending = np.uint64(key & (1 << 9 * len(evidence.what.split())) - 1)
            evidence.times = int(times[last(known, len(evidence.what.split())) == ending].sum())
            told[evidence.kind, evidence.what] = evidence
        if len(told) == _MOST:
            break
    return found + list(told.values())


def _sequence(model: Sequences, key: int, order: int, seen: int, followed: int, architecture: str) -> Evidence:
    names = [call_name(code, architecture) for code in calls_of(key, order)]
    if order == 1:
        return Evidence("sequence" if seen else "call", names[-1], 1, seen, "")
    code, share = model.usual(key, order) if followed else (0, 0.0)
    usual = f"{call_name(code, architecture)} ({share:.0%})" if followed else ""
    return Evidence("sequence", " ".join(names), 1, seen, usual)
