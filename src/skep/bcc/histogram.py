"""Histograms as BCC's tools print them: their readers, and other programs, know the columns by heart."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = ["LINEAR_SLOTS", "LOG2_SLOTS", "json_histogram", "linear_histogram", "log2_histogram"]

LOG2_SLOTS = 65
"""One for each power of two that 64 bits hold, and one for 0."""
LINEAR_SLOTS = 1025
"""So many numbers a linear histogram has room for, from 0."""

# Up to this slot, numbers fit into ten digits.
_NARROW = 32
_NARROW_BAR, _WIDE_BAR = 40, 20


def log2_histogram(counts: Sequence[int], unit: str, *, strip: bool = False) -> list[str]:
    """The lines of a histogram of powers of two; none where nothing was counted.

    Args:
        counts: by slot: slot N holds 2^(N-1) to 2^N - 1.
        unit: what was counted, over the first column.
        strip: leaves out the empty rows before the first one that is not.
    """
    last = _last(counts)
    if last < 1:
        return []
    is_wide = last > _NARROW
    digits, bar = (20, _WIDE_BAR) if is_wide else (10, _NARROW_BAR)
    head = f"{'':15}{unit:<29}" if is_wide else f"{'':5}{unit:<19}"
    largest = max(counts)
    bounds = [(counts[slot], *_bounds(slot)) for slot in range(1, last + 1)]
    rows = [(count, f"{low:>{digits}} -> {high:<{digits}}") for count, low, high in bounds]
    return [f"{head} : count     distribution", *_rows(rows, largest, bar, strip=strip)]


def linear_histogram(counts: Sequence[int], unit: str, *, strip: bool = False) -> list[str]:
    """The lines of a histogram with a row a number; none where nothing was counted.

    Args:
        counts: by number.
        unit: what was counted, over the first column.
        strip: leaves out the empty rows before the first one that is not.
    """
    last = _last(counts)
    if last < 0:
        return []
    rows = [(counts[number], f"{'':8}{number:<10}") for number in range(last + 1)]
    return [f"{'':5}{unit:<13} : count     distribution", *_rows(rows, max(counts), _NARROW_BAR, strip=strip)]


def json_histogram(counts: Sequence[int], unit: str, section: tuple[str, Any] | None, time: str) -> Mapping[str, Any]:
    """A histogram of powers of two as an object for JSON.

    Args:
        counts: by slot.
        unit: what was counted.
        section: what the counts belong to: name and value.
        time: of the reading, as text.
    """
    bounds = [(counts[slot], *_bounds(slot)) for slot in range(1, _last(counts) + 1)]
    data = [{"interval-start": low, "interval-end": high, "count": count} for count, low, high in bounds]
    found: dict[str, Any] = {"ts": time, "val_type": unit, "data": data}
    if section is not None:
        found[section[0]] = section[1]
    return found


def _last(counts: Sequence[int]) -> int:
    return next((slot for slot in range(len(counts) - 1, -1, -1) if counts[slot] > 0), -1)


def _bounds(slot: int) -> tuple[int, int]:
    """The least and the largest number of a slot; 0 is counted with 1."""
    low, high = 1 << slot >> 1, (1 << slot) - 1
    return (low - 1 if low == high else low), high


def _rows(rows: Sequence[tuple[int, str]], largest: int, bar: int, *, strip: bool) -> list[str]:
    lines = []
    for count, label in rows:
        if not count and strip:
            continue
        strip = False
        lines.append(f"{label} : {count:<8} |{'*' * (bar * count // largest):<{bar}}|")
    return lines
