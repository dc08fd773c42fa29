"""How surprising each call is after the six before it, and how many of the pairs that it forms were never seen.

Probabilities are those of Witten and Bell, interpolated from order 7 down to a uniform one over all codes: after a
context that was seen c times, with t different calls, the next one has P(call) = (count + t * P_shorter(call)) / (c +
t). Novelty looks only at pairs: the call with each of the six before it, whatever stood between (lookahead pairs). The
first finds unusual orders of usual calls, the second behaviour that is new altogether, at few false alarms.

`held_out` gives both for the training runs themselves, each judged as if it had not been learned from: its own counts
are taken out of every sum. All runs are done at once, so this costs a few sorts and not one model a run.
"""

from __future__ import annotations

import numpy as np

from skep.guard.behaviour import BITS
from skep.guard.grams import ORDER, Grams, last, pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Array = np.ndarray[Any, Any]

__all__ = ["Sequences", "held_out"]

_ALPHABET = 1 << BITS
_SHIFT = np.uint64(BITS)


class _Order:
    """The counts of one order: of its sequences, and of their contexts.

    Args:
        keys: of all orders, ascending.
        counts: of each.
        order: how many calls a sequence has.
    """

    def __init__(self, keys: Array, counts: Array, order: int) -> None:
        self.order = order
        self.grams, self.place = np.unique(last(keys, order), return_inverse=True)
        self.counts = np.bincount(self.place, counts)
        self.contexts, self.context = np.unique(self.grams >> _SHIFT, return_inverse=True)
        self.followed = np.bincount(self.context, self.counts)
        self.kinds = np.bincount(self.context).astype(np.float64)

    def find(self, keys: Array) -> tuple[Array, Array, Array]:
        """For each key: how often it was seen, how often its context was, and with how many different calls."""
        grams = last(keys, self.order)
        contexts = grams >> _SHIFT
        gram, context = _find(self.grams, grams), _find(self.contexts, contexts)
        known = context >= 0
        return (
            np.where(gram >= 0, self.counts[gram], 0),
            np.where(known, self.followed[context], 0),
            np.where(known, self.kinds[context], 0),
        )


def _find(table: Array, keys: Array) -> Array:
    """The places of keys in a sorted table; -1 for what is not there."""
    place = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return np.where(table[place] == keys, place, -1)


def _interpolate(shorter: Array, count: Array, followed: Array, kinds: Array) -> Array:
    seen = followed > 0
    mixed: Array = np.where(seen, (count + kinds * shorter) / np.where(seen, followed + kinds, 1), shorter)
    return mixed


class Sequences:
    """The model of one thread role.

    Args:
        grams: what was counted.
    """

    def __init__(self, grams: Grams) -> None:
        self._orders = [_Order(grams.keys, grams.counts, order) for order in range(1, ORDER + 1)]
        self._seen = np.zeros((ORDER, _ALPHABET * _ALPHABET), bool)
        for distance in range(1, ORDER):
            self._seen[distance][pairs(grams.keys, distance)] = True
        self._known = grams.keys
        self._surprise, _ = self._weigh(grams.keys)

    def judge(self, keys: Array) -> tuple[Array, Array]:
        """For each key: the surprise of its last call in nats, and the share of its six pairs that is new."""
        place = _find(self._known, keys)
        surprise, novelty = self._surprise[place], np.zeros(len(keys))
        # What was learned has no new pairs; only the rest is worked out, each sequence once.
        new = np.flatnonzero(place < 0)
        known, place = np.unique(keys[new], return_inverse=True)
        surprise[new], novelty[new] = (values[place] for values in self._weigh(known))
        return surprise, novelty

    def _weigh(self, keys: Array) -> tuple[Array, Array]:
        probability = np.full(len(keys), 1 / _ALPHABET)
        for order in self._orders:
            probability = _interpolate(probability, *order.find(keys))
        fresh = sum(~self._seen[distance][pairs(keys, distance)] for distance in range(1, ORDER))
        return -np.log(probability), np.asarray(fresh, np.float64) / (ORDER - 1)

    @property
    def usual_surprise(self) -> float:
        """That of a call in training, on average."""
        return float(np.average(self._surprise, weights=self._orders[-1].counts))

    def seen(self, key: int, order: int) -> tuple[int, int]:
        """How often the last `order` calls of a key were seen, and how often all of them but the last."""
        count, followed, _ = self._orders[order - 1].find(np.array([key], np.uint64))
        return int(count[0]), int(followed[0])

    def usual(self, key: int, order: int) -> tuple[int, float]:
        """What mostly follows the context of a key's last `order` calls: its code, and its share there."""
        table = self._orders[order - 1]
        context = last(np.array([key], np.uint64), order) >> _SHIFT
        here = np.flatnonzero(table.context == _find(table.contexts, context)[0])
        best = here[np.argmax(table.counts[here])]
        return int(table.grams[best]) % _ALPHABET, float(table.counts[best] / table.counts[here].sum())


def held_out(keys: Array, runs: Array, counts: Array, number: int) -> tuple[Array, Array]:
    """What `Sequences.judge` would give each run's keys if that run had not been learned from.

    Args:
        keys: each run's different keys.
        runs: whose they are, as numbers from 0.
        counts: how often each occurs in its run.
        number: how many runs there are.

    Returns:
        For each of the keys: surprise and novelty.
    """
    probability = np.full(len(keys), 1 / _ALPHABET)
    for order in range(1, ORDER + 1):
        probability = _interpolate(probability, *_without_own(_Order(keys, counts, order), runs, counts, number))
    fresh = sum(_only_here(pairs(keys, distance), runs, number) for distance in range(1, ORDER))
    return -np.log(probability), np.asarray(fresh, np.float64) / (ORDER - 1)


def _without_own(table: _Order, runs: Array, counts: Array, number: int) -> Iterator[Array]:
    """As `_Order.find` for the table's own keys, less what the run of each has put into the sums."""
    held, place = np.unique(table.place * number + runs, return_inverse=True)
    gram, run = held // number, held % number
    own = np.bincount(place, counts)
    others = table.counts[gram] - own
    _, both = np.unique(table.context[gram] * number + run, return_inverse=True)
    followed = table.followed[table.context[gram]] - np.bincount(both, own)[both]
    kinds = table.kinds[table.context[gram]] - np.bincount(both, others == 0)[both]
    yield others[place]
    yield followed[place]
    yield kinds[place]


def _only_here(both: Array, runs: Array, number: int) -> Array:
    """Whether no other run has the pair."""
    known, place = np.unique(both, return_inverse=True)
    in_runs = np.bincount(np.unique(place * number + runs) // number, minlength=len(known))
    alone: Array = in_runs[place] == 1
    return alone
