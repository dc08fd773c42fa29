"""Counts of the sequences of seven calls, packed into 63-bit keys; everything shorter is derived from them.

Each call has one key: itself in the lowest nine bits, the six before it above. The last n calls are the lowest 9 n
bits, so that one sorted table holds the counts of all orders, and adding tables up is all that merging takes.
"""

from __future__ import annotations

import numpy as np

from skep.guard.behaviour import BITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from skep.guard.behaviour import Trace

    Array = np.ndarray[Any, Any]

__all__ = ["ORDER", "Grams", "calls_of", "last", "pack", "pairs", "sum_by_key"]

ORDER = 7
_CALL = np.uint64((1 << BITS) - 1)
_SHIFT = np.uint64(BITS)


def last(keys: Array, order: int) -> Array:
    """The keys of the last `order` calls of each."""
    masked: Array = keys & np.uint64((1 << BITS * order) - 1)
    return masked


def calls_of(key: int, order: int = ORDER) -> list[int]:
    """The codes that a key holds, first to last, without what stands before the first call of a thread."""
    codes = [key >> BITS * back & int(_CALL) for back in reversed(range(order))]
    return [code for place, code in enumerate(codes) if code or any(codes[:place])]


def pairs(keys: Array, distance: int) -> Array:
    """For each key: the call so far before the last one, and the last one, in 18 bits."""
    earlier = keys >> np.uint64(BITS * distance) & _CALL
    both: Array = earlier << _SHIFT | keys & _CALL
    return both.astype(np.int64)


def pack(traces: Sequence[Trace]) -> tuple[Array, Array]:
    """The keys of all calls of all traces.

    Returns:
        One key a call, and whether nothing is missing in it: no event was lost among its seven calls.
    """
    lengths = np.array([len(trace.calls) for trace in traces], np.int64)
    padded = np.concatenate(
        [part for trace in traces for part in (_before(trace), trace.calls)] or [np.zeros(0, np.uint64)]
    )
    keys = padded.copy()
    for back in range(1, ORDER):
        keys[back:] |= padded[:-back] << np.uint64(BITS * back)
    place = np.arange(int(lengths.sum())) + np.repeat(np.arange(1, len(traces) + 1) * (ORDER - 1), lengths)
    whole = np.ones(len(place), bool)
    start = 0
    for trace, length in zip(traces, lengths, strict=True):
        if trace.lost is not None:
            for hole in np.flatnonzero(trace.lost):
                whole[start + hole : start + min(hole + ORDER - 1, length)] = False
        start += length
    return keys[place], whole


def _before(trace: Trace) -> Array:
    """The six calls before a trace's first one."""
    known = np.array(trace.before[1 - ORDER :], np.uint64)
    return np.append(np.zeros(ORDER - 1 - len(known), np.uint64), known)


def sum_by_key(keys: Array, *columns: Array) -> tuple[Array, ...]:
    """Each key once, ascending, with the sums of its columns."""
    known, inverse = np.unique(keys, return_inverse=True)
    return known, *(np.bincount(inverse, column, len(known)).astype(np.int64) for column in columns)


class Grams:
    """How often each sequence of seven calls occurred, and in how many runs each pair of neighbours did.

    Args:
        keys: ascending.
        counts: how often each occurred.
        pairs: pairs of neighbours, ascending.
        runs: in how many runs each pair occurred.
    """

    __slots__ = ("counts", "keys", "pairs", "runs")

    def __init__(self, keys: Array, counts: Array, pairs: Array, runs: Array) -> None:
        self.keys = keys.astype(np.uint64, copy=False)
        self.counts = counts.astype(np.int64, copy=False)
        self.pairs = pairs.astype(np.int64, copy=False)
        self.runs = runs.astype(np.int64, copy=False)

    @property
    def calls(self) -> int:
        """How many calls were counted."""
        return int(self.counts.sum())

    @property
    def fresh(self) -> int:
        """How many pairs of neighbours only one run had: as many new ones are to be expected of as many calls again."""
        return int((self.runs == 1).sum())

    def __add__(self, other: Grams) -> Grams:
        keys, counts = sum_by_key(np.append(self.keys, other.keys), np.append(self.counts, other.counts))
        both, runs = sum_by_key(np.append(self.pairs, other.pairs), np.append(self.runs, other.runs))
        return Grams(keys, counts, both, runs)
