"""The mix of calls of each run, whatever their order, and which training run is the nearest to a given one.

A mix is a vector of one number a call: the logarithm of how often it was made, weighed down where most runs make it, at
length one. The distance of two is 1 - their cosine.
"""

from __future__ import annotations

import numpy as np

from skep.guard.behaviour import BITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from skep.guard.behaviour import Run

    Array = np.ndarray[Any, Any]

__all__ = ["Mixes"]

_ALPHABET = 1 << BITS
# Runs beyond these are not kept: they would be near one of them.
_MOST = 1000
_AT_ONCE = 256


class Mixes:
    """How often each of some runs made each call.

    Args:
        names: of the runs.
        counts: one row a run, one column a code.
    """

    __slots__ = ("_made", "_vectors", "_weights", "counts", "names")

    def __init__(self, names: Sequence[str], counts: Array) -> None:
        self.names = tuple(names)
        self.counts = counts
        self._weights = np.log((1 + len(self.counts)) / (1 + (self.counts > 0).sum(0))) + 1
        # Most codes are never made; a matrix without them stays in the CPU's cache.
        self._made = np.flatnonzero(self.counts.any(0))
        self._vectors = self._vector(self.counts)

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Mixes:
        """Those of runs."""
        return cls([run.name for run in runs], np.array([_count(run) for run in runs]))

    def alike(self, counts: Array) -> Array:
        """The cosines of some runs, one row each, with all of these."""
        cosines: Array = self._vector(counts) @ self._vectors.T
        return cosines

    def apart(self) -> Array:
        """How far each run is from the nearest other one that `thinned` keeps: new runs are judged by those."""
        kept, others = _evenly(len(self.names)), self.thinned()
        nearest = np.zeros(len(self.names), np.float32)
        for start in range(0, len(nearest), _AT_ONCE):
            alike = others.alike(self.counts[start : start + _AT_ONCE])
            run = np.arange(start, start + len(alike))
            place = np.minimum(np.searchsorted(kept, run), len(kept) - 1)
            own = np.flatnonzero(kept[place] == run)
            alike[own, place[own]] = 0
            nearest[run] = 1 - alike.max(1)
        return nearest

    def thinned(self) -> Mixes:
        """The same, with a thousand runs at most, taken evenly: it does not matter which were recorded first."""
        kept = _evenly(len(self.names))
        return self if len(kept) == len(self.names) else Mixes([self.names[run] for run in kept], self.counts[kept])

    def nearest(self, run: Run) -> tuple[float, str]:
        """How far a run is from the nearest of these, and the name of that."""
        alike = self.alike(_count(run)[None])[0]
        best = int(alike.argmax())
        return float(1 - alike[best]), self.names[best]

    def _vector(self, counts: Array) -> Array:
        vectors = np.log1p(counts) * self._weights
        unit: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return unit[:, self._made].astype(np.float32)

    def __add__(self, other: Mixes) -> Mixes:
        return Mixes(self.names + other.names, np.concatenate((self.counts, other.counts))).thinned()


def _evenly(number: int) -> Array:
    """Which of so many runs are kept."""
    return np.linspace(0, number - 1, min(number, _MOST)).astype(np.int64)


def _count(run: Run) -> Array:
    counts = np.zeros(_ALPHABET, np.int64)
    for trace in run.traces:
        counts += np.bincount(trace.calls.astype(np.int64), minlength=_ALPHABET)
    return counts
