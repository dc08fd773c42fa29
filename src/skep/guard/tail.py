"""How rare a value is: the share of held-out values at least as large, and beyond them an exponential tail.

A new value falls between any two neighbours of n held-out ones with the same probability, 1 / (n + 1). Where between
them decides too: the logarithm of the share goes straight from one to the other, so that of two values the larger one
is the rarer. Without that, all that lie between the largest two of some hundred values would be alike, attacks and
false alarms.
"""

from __future__ import annotations

import numpy as np

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Array = np.ndarray[Any, Any]

__all__ = ["Tail"]

# Of more values than this, the lower ones are thinned out: only the upper tail decides.
_EXACT = 1000
_THINNED = 500


class Tail:
    """The distribution of one score over what was held out in training.

    Args:
        values: in any order; what is not finite was not heard, and does not count.
        weights: how many values each one stands for; one if None.
        step: the smallest difference that means something; the tail falls no faster than by 1/e for each.
    """

    __slots__ = ("_above", "_line", "step", "values", "weights")

    def __init__(self, values: Array, weights: Array | None = None, *, step: float) -> None:
        given = np.asarray(values, np.float64)
        order = np.argsort(given, kind="stable")
        order = order[np.isfinite(given[order])]
        self.values = given[order]
        self.weights = np.ones(len(order)) if weights is None else np.asarray(weights, np.float64)[order]
        self.step = step
        self._above = np.append(np.cumsum(self.weights[::-1])[::-1], 0)
        self._line = _lines(self.values, self._above, step) if len(order) else None

    @property
    def total(self) -> float:
        """How many values it stands for."""
        return float(self._above[0])

    def rarity(self, values: Array) -> Array:
        """-log of the probability that a normal value is at least as large.

        With n held-out values, of which k are as large: from (k + 1) / (n + 1) down to k / (n + 1). Beyond the largest
        it falls exponentially, at the rate of the upper ones: as many as the square root of n.
        """
        given = np.asarray(values, np.float64)
        if self._line is None:
            return np.zeros(len(given))
        place = np.searchsorted(self.values, given)
        start, base, slope = (column[place] for column in self._line)
        return np.where(np.isfinite(given), base + (given - start) * slope, 0.0)

    def own_rarity(self, values: Array) -> Array:
        """The same for the values that it is made of, each judged by the others; as long as none is thinned out."""
        heard = np.isfinite(values)
        most = len(self.values) - 1
        if most < 1:
            return np.zeros(len(values))
        place = np.minimum(np.searchsorted(self.values, values), most)
        # Without the value itself the next one is its upper neighbour: it may be equal.
        lower, upper = self.values[np.maximum(place - 1, 0)], self.values[np.minimum(place + 1, most)]
        above = self._above[place] - 1
        way = (values - lower) / np.where(upper > lower, upper - lower, np.inf)
        rare: Array = np.log(self.total / (above + 1)) + way.clip(0, 1) * _fall(above)
        largest = heard & (values > self.values[-2])
        scale = _mean_excess(self.values[:-1], self._above[1:-1], self.step)
        rare[largest] += (values[largest] - self.values[-2]) / scale
        return np.where(heard, rare, 0.0)

    def thinned(self) -> Tail:
        """The same with the upper values as they are, and the lower ones at even distances in rank."""
        if len(self.values) <= _EXACT + _THINNED:
            return self
        upper = len(self.values) - _EXACT
        ends = np.linspace(0, upper, _THINNED + 1).astype(np.int64)
        below = np.append(0, np.cumsum(self.weights))
        # Each stretch is counted at its largest value: the probability is never told too small.
        values = np.append(self.values[ends[1:] - 1], self.values[upper:])
        return Tail(values, np.append(np.diff(below[ends]), self.weights[upper:]), step=self.step)

    def __add__(self, other: Tail) -> Tail:
        values, weights = np.append(self.values, other.values), np.append(self.weights, other.weights)
        return Tail(values, weights, step=self.step).thinned()


def _lines(values: Array, above: Array, step: float) -> tuple[Array, Array, Array]:
    """The rarity before each value and behind the last one, as lines: from where, how high there, and how steep."""
    gap = np.diff(values, prepend=values[0])
    slope = _fall(above[:-1]) / np.where(gap > 0, gap, np.inf)
    start, base = np.append(values[0], values), np.log((above[0] + 1) / (above + 1))
    # Before the first value all is as ordinary as can be.
    return start, base, np.append(slope, 1 / _mean_excess(values, above, step))


def _fall(above: Array) -> Array:
    """By how much the rarity grows from one value to the next."""
    grown: Array = np.log((above + 1) / np.maximum(above, 1))
    return grown


def _mean_excess(values: Array, above: Array, step: float) -> float:
    """By how much the upper values exceed the largest of the others, on average."""
    if len(values) < 2:
        return step
    first = max(int(np.searchsorted(-above[: len(values)], -np.sqrt(above[0]))), 1)
    first = min(first, len(values) - 1)
    weights = above[first : len(values)] - np.append(above[first + 1 : len(values)], 0)
    return max(float(np.average(values[first:] - values[first - 1], weights=weights)), step)
