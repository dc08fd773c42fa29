"""The scores of a run and of its windows, and how they become one probability.

A voice is one score. Every voice of a held-out training run, and of each of its windows, goes into a `Tail`, so that
any value has a rarity: -log p. They are fused as follows, and the sum is calibrated once more on the same held-out
runs, since
the voices are not independent:

    the leading voice in full + what each other voice has beyond -log 0.02

so that others add nothing until they are rare by themselves (the truncated product of Zaykin and others, 2002). For a
whole run the mean surprise leads: it orders the middle. Low-order novelty decides where false alarms are few.
"""

from __future__ import annotations

import numpy as np

from skep.guard.tail import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from skep.guard.behaviour import Trace

    Array = np.ndarray[Any, Any]

__all__ = ["RUN_VOICES", "STEP", "WINDOW", "WINDOW_VOICES", "Calibration", "Windows", "run_voices"]

# In calls. Half of a window is shared with the next.
WINDOW = 100
STEP = WINDOW // 2

# Name -> the smallest difference that means something: see `Tail`.
RUN_VOICES = {
    "surprise": 0.02,  # mean nats a call
    "surprise in a window": 0.05,
    "novelty": 0.002,  # mean share of new pairs
    "novelty in a window": 0.01,
    "mix of calls": 0.01,  # distance to the nearest run
}
WINDOW_VOICES = {
    "surprise": 0.05,
    "novelty": 0.01,
    "new items": 1.0,
    "many calls a second": 0.1,  # natural logarithm
    "few calls a second": 0.1,
    "depth": 1.0,
}
_QUIET = -np.log(0.02)


class Calibration:
    """What the voices of held-out training runs were.

    Args:
        tails: one for each voice.
        fused: of their sums.
        leads: whether the first voice counts in full.
    """

    __slots__ = ("fused", "leads", "tails")

    def __init__(self, tails: Sequence[Tail], fused: Tail, *, leads: bool) -> None:
        self.tails = tuple(tails)
        self.fused = fused
        self.leads = leads

    @classmethod
    def of(cls, voices: Array, steps: Iterable[float], *, leads: bool) -> Calibration:
        """Of held-out voices: one row a run or window, one column a voice."""
        tails = [Tail(column, step=step) for column, step in zip(voices.T, steps, strict=True)]
        rare = [tail.own_rarity(column) for tail, column in zip(tails, voices.T, strict=True)]
        fused = Tail(_fuse(np.transpose(rare), leads=leads), step=1.0)
        return cls([tail.thinned() for tail in tails], fused.thinned(), leads=leads)

    def rarities(self, voices: Array) -> Array:
        """-log p of each voice."""
        return np.transpose([tail.rarity(column) for tail, column in zip(self.tails, voices.T, strict=True)])

    def rarity(self, rarities: Array) -> Array:
        """-log p of each row of such voices as a whole."""
        return self.fused.rarity(_fuse(rarities, leads=self.leads))

    def __add__(self, other: Calibration) -> Calibration:
        tails = [mine + theirs for mine, theirs in zip(self.tails, other.tails, strict=True)]
        return Calibration(tails, self.fused + other.fused, leads=self.leads)


def _fuse(rarities: Array, *, leads: bool) -> Array:
    sums: Array = np.maximum(rarities - _QUIET, 0).sum(1)
    if leads:
        sums += np.minimum(rarities[:, 0], _QUIET)
    return sums


class Windows:
    """The windows of traces that lie one behind the other.

    Args:
        traces: of one role.
    """

    def __init__(self, traces: Sequence[Trace]) -> None:
        firsts, owners, start = [], [], 0
        self.offsets = []
        for number, trace in enumerate(traces):
            length = len(trace.calls)
            here = np.arange(0, max(length - WINDOW, 0) + STEP, STEP)
            # The last one ends with the trace.
            here = np.minimum(here, max(length - WINDOW, 0))[: max(1, len(here))]
            if length:
                firsts.append(start + np.unique(here))
                owners.append(np.full(len(firsts[-1]), number))
            self.offsets.append(start)
            start += length
        self._traces = traces
        self.first = np.concatenate(firsts) if firsts else np.zeros(0, np.int64)
        self.owner = np.concatenate(owners) if owners else np.zeros(0, np.int64)
        ends = np.array(
            [offset + len(trace.calls) for offset, trace in zip(self.offsets, traces, strict=True)], np.int64
        )
        self.end = np.minimum(self.first + WINDOW, ends[self.owner]) if len(self.first) else self.first
        self._length = start

    def sums(self, values: Array) -> Array:
        """The sum over each window of one value a call."""
        total = np.append(0.0, np.cumsum(values))
        summed: Array = total[self.end] - total[self.first]
        return summed

    def lost(self) -> Array:
        """How many events are missing in each window."""
        holes = [np.zeros(len(trace.calls)) if trace.lost is None else trace.lost for trace in self._traces]
        return self.sums(np.concatenate(holes))

    def voices(self, surprise: Array, novelty: Array, fresh: Array) -> Array:
        """One row a window, as in `WINDOW_VOICES`.

        Args:
            surprise: of each call.
            novelty: of each call.
            fresh: how many new items each call brought.
        """
        rate, depth = np.full((2, len(self.first)), np.nan)
        for number, trace in enumerate(self._traces):
            mine = np.flatnonzero(self.owner == number)
            first, end = self.first[mine] - self.offsets[number], self.end[mine] - self.offsets[number]
            # In a few calls a thread may be as quick or as slow as can be: only a whole window has a pace.
            if trace.times is not None and len(trace.calls) >= WINDOW:
                seconds = (trace.times[end - 1] - trace.times[first]) / 1e9
                rate[mine] = np.log((end - first) / np.maximum(seconds, 1e-6))
            if trace.depth is not None and len(mine):
                depth[mine] = [trace.depth[a:b].max() for a, b in zip(first, end, strict=True)]
        # A short trace is judged by what it has, and counts as if the rest of its window were quiet.
        columns = (self.sums(surprise) / WINDOW, self.sums(novelty) / WINDOW, self.sums(fresh), rate, -rate, depth)
        return np.column_stack(columns)


def run_voices(number: int, calls: Sequence[Array], windows: Sequence[Array]) -> Array:
    """The voices of whole runs but the last, as in `RUN_VOICES`.

    Args:
        number: how many runs there are.
        calls: of calls that are alike: whose they are, how many, their surprise and novelty.
        windows: whose each window is, and its voices.
    """
    owner, weights, surprise, novelty = calls
    total = np.maximum(np.bincount(owner, weights, number), 1)
    most = np.zeros((2, number))
    for voice in range(2):
        np.maximum.at(most[voice], windows[0], windows[1][:, voice])
    means = [np.bincount(owner, weights * each, number) / total for each in (surprise, novelty)]
    return np.column_stack((means[0], most[0], means[1], most[1]))
