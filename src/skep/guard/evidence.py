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

# Of items, and of calls and sequences.
_MOST = 5
# Distinct sequences, those that add most to the surprise.
_LOOKED_AT = 40
# What comes in fewer of the cases than this is not what is usual there.
_UNUSUAL = 0.05


class Evidence:
    """One thing that was unusual.

    Args:
        kind: ``call`` (never made before), ``sequence``, or an item's kind (`skep.guard.items`).
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
    for index in np.argsort(-np.bincount(place, surprise), kind="stable")[:_LOOKED_AT].tolist():
        order = _unusual_order(model, int(known[index]))
        if order is not None:
            # What is told of one sequence covers all that end as it does.
            alike = last(known, order) == last(known[index], order)
            evidence = _sequence(model, int(known[index]), order, int(times[alike].sum()), architecture)
            told.setdefault((evidence.kind, evidence.what), evidence)
    # A call that was never made says more than any order of calls.
    return [*found, *sorted(told.values(), key=lambda evidence: evidence.kind != "call")[:_MOST]]


def _unusual_order(model: Sequences, key: int) -> int | None:
    """The length of the shortest unusual sequence at the end of a key: it says most. None if each is usual."""
    for order in range(1, ORDER + 1):
        seen, followed = model.seen(key, order)
        if not followed:
            # The call before was never made: that is told of itself.
            return None
        if not seen or (order > 1 and seen < followed * _UNUSUAL):
            return order
    return None


def _sequence(model: Sequences, key: int, order: int, times: int, architecture: str) -> Evidence:
    names = [call_name(code, architecture) for code in calls_of(key, order)]
    if order == 1:
        return Evidence("call", names[-1], times, 0, "")
    seen, _ = model.seen(key, order)
    code, share = model.usual(key, order)
    return Evidence("sequence", " ".join(names), times, seen, f"{call_name(code, architecture)} ({share:.0%})")
