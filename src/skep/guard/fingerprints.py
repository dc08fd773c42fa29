"""Fingerprints of learned sequences, in lines of eight: the table that watch.bpf.c looks each call up in.

A sequence's fingerprint is a number of 64 bits, mixed from its key and its profile's secret salt. It stands in one of
two lines, each as long as a line of a CPU's cache. A profile's table is filled to a half at most, so that hardly any
has to be made larger for want of a place.
"""

from __future__ import annotations

import numpy as np

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Array = np.ndarray[Any, Any]

__all__ = ["LINE", "fingerprints", "place"]

# Fingerprints in a line.
LINE = 8
_FULL = 0.5


def fingerprints(keys: Array, salt: int) -> Array:
    """The fingerprints of sequences, as `learned` in watch.bpf.c works them out.

    Args:
        keys: of the sequences.
        salt: of their profile, 64 bits.
    """
    mixed = keys.astype(np.uint64) ^ np.uint64(salt)
    mixed = (mixed ^ mixed >> np.uint64(32)) * np.uint64(0x9FB21C651E98DF25)
    mixed = (mixed ^ mixed >> np.uint64(29)) * np.uint64(0x9E3779B97F4A7C15)
    last: Array = mixed ^ mixed >> np.uint64(32)
    return last


def place(prints: Array) -> Array:
    """The table that holds the fingerprints of a profile.

    Returns:
        One row a line, as many as a power of two; 0 where nothing stands.
    """
    wanted = np.unique(prints)
    count = 1
    while count * LINE * _FULL < len(wanted):
        count *= 2
    while (table := _placed(wanted, count)) is None:
        count *= 2
    return table


def _placed(wanted: Array, count: int) -> Array | None:
    """A table of so many lines; None if one has no place in either of its lines."""
    table = np.zeros((count, LINE), np.uint64)
    used = np.zeros(count, np.int64)
    for shift in (0, 32):
        lines = (wanted >> np.uint64(shift) & np.uint64(count - 1)).astype(np.int64)
        order = np.argsort(lines, kind="stable")
        lines, wanted = lines[order], wanted[order]
        # The how manieth of its line each one is, behind those that stand there already.
        first = np.searchsorted(lines, lines)
        slot = np.arange(len(lines)) - first + used[lines]
        fits = slot < LINE
        table[lines[fits], slot[fits]] = wanted[fits]
        used += np.bincount(lines[fits], minlength=count)
        wanted = wanted[~fits]
    return None if len(wanted) else table
