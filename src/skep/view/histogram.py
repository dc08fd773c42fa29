"""`--hist` and `--hist-linear`: how often a number of a field was in each of a row of ranges.

     duration_ns         : count     distribution
       256 -> 511        : 2        |********************                    |
       512 -> 1023       : 4        |****************************************|

Ranges of ``log2`` double: 0 to 1, 2 to 3, 4 to 7 ... Those of a step are all as wide. With groups, the histograms stand
under one another, the group above each.
"""

from __future__ import annotations

from skep.base.errors import UsageError
from skep.base.schema import Field, Schema, Type
from skep.view.columns import columns_of
from skep.view.fields import find, number_of, picked, require
from skep.view.formatters import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from skep.stream.names import Names
    from skep.view.outputs import View

__all__ = ["Histograms", "Scale", "draw"]

_STARS = 40
_MOST_LINES = 200  # more than these are no picture any more, and a step of 1 can ask for any number
_LOW = Field("low", 0, 8, Type("int", 8, "s64", signed=True))
_HIGH = Field("high", 0, 8, Type("int", 8, "s64", signed=True))
_COUNT = Field("count", 0, 8, Type("int", 8, "u64"))


class Scale:
    """What ranges numbers are counted in.

    Args:
        step: how wide each range is; 0: they double.
    """

    __slots__ = ("step",)

    def __init__(self, step: int = 0) -> None:
        self.step = step

    def slot(self, number: float) -> int:
        """The range that a number is in: from 0 up; -1 and less for negative numbers.

        Args:
            number: any but infinities.
        """
        whole = int(number // 1)
        if self.step:
            return whole // self.step
        # Those below zero lie as they do above: -1, -2 to -3, -4 to -7 ...
        return max(whole.bit_length() - 1, 0) if whole >= 0 else -(-whole).bit_length()

    def bounds(self, slot: int) -> tuple[int, int]:
        """The first and the last whole number of a range.

        Args:
            slot: as `slot` gives it.
        """
        if self.step:
            return slot * self.step, (slot + 1) * self.step - 1
        if slot < 0:
            return 1 - (1 << -slot), -(1 << -slot - 1)
        return (1 << slot if slot else 0), (2 << slot) - 1


def draw(counts: Mapping[int, int], scale: Scale, label: str, width: int | None = None) -> str:
    """One histogram, its lines each ended by a newline; "" where nothing was counted.

    Args:
        counts: how often a number was in each range, by `Scale.slot`.
        scale: the ranges.
        label: what the numbers are; it is escaped.
        width: of the terminal: what stands for the counts is made to fit. None: 40 characters.
    """
    if not counts:
        return ""
    first, last = min(counts), max(counts)
    # Doubling ranges begin at zero, so that the shapes of several can be compared.
    slots: Iterable[int] = range(min(first, 0) if not scale.step else first, last + 1)
    if last - first >= _MOST_LINES:
        slots = sorted(counts)
    bounds = [scale.bounds(slot) for slot in slots]
    low = max(5, *(len(str(each)) for each, _ in bounds))
    high = max(5, *(len(str(each)) for _, each in bounds))
    digits = max(8, *(len(str(count)) for count in counts.values()))
    most = max(counts.values())
    if width is not None and width < low + high + digits + 15:
        return _narrow(counts, zip(slots, bounds, strict=True), label, width)
    ranges = low + high + 9
    stars = _STARS if width is None else max(min(_STARS, width - ranges - digits - 5), 1)
    lines = [f"{'':5}{escape(label):<{ranges - 5}}: {'count':<{digits}}  distribution"]
    for slot, (start, end) in zip(slots, bounds, strict=True):
        count = counts.get(slot, 0)
        bar = "*" * (count * stars // most)
        lines.append(f"{start:>{low + 4}} -> {end:<{high}} : {count:<{digits}} |{bar:<{stars}}|")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _narrow(counts: Mapping[int, int], ranges: Iterable[tuple[int, tuple[int, int]]], label: str, width: int) -> str:
    """The same where the usual layout has no room: of each range only where it starts, and fewer stars."""
    lines = [(start, counts.get(slot, 0)) for slot, (start, _) in ranges]
    first, digits = (max(len(str(line[place])) for line in lines) for place in (0, 1))
    stars, most = max(width - first - digits - 2, 1), max(counts.values())
    drawn = [f"{start:>{first}} {count:>{digits}} {'*' * (count * stars // most)}" for start, count in lines]
    return "".join(f"{line.rstrip()}\n" for line in [escape(label)[:width], *drawn])


class Histograms:
    """A view of how a number is distributed, for each group of records.

    Args:
        view: where the ranges go, as records: the fields of the group, `low`, `high` and `count`. None: they are drawn.
        names: resolved names of the run.
        schemas: of the run's records. Of a type that lacks one of the fields, nothing is counted.
        field: of the number.
        scale: the ranges.
        keys: names of the fields that a group has in common, separated by commas; "" for one group of all.
        width: of the terminal; None: nothing is made to fit.

    Raises:
        UsageError: no records have such a field, or it is no number.
    """

    def __init__(
        self,
        view: Callable[[Sequence[Schema]], View] | None,
        names: Names,
        schemas: Sequence[Schema],
        field: str,
        scale: Scale,
        *,
        keys: str = "",
        width: int | None = None,
    ) -> None:
        self._names = names
        self._field = field
        self._scale = scale
        self._keys = [name.strip() for name in keys.split(",")] if keys else []
        self._width = width
        require([field], schemas, "--hist")
        require(self._keys, schemas, "--group-by")
        self._groups = {schema: self._of(schema) for schema in schemas}
        self._view = view and view([groups.ranges for groups in self._groups.values() if groups is not None])

    def _of(self, schema: Schema) -> _Groups | None:
        keys, index = [find(schema, name) for name in self._keys], find(schema, self._field)
        if index is None or None in keys:
            return None
        return _Groups(schema, [key for key in keys if key is not None], index)

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """Nothing: they are counted."""
        if schema not in self._groups:
            self._groups[schema] = self._of(schema)
        groups = self._groups[schema]
        if groups is not None:
            groups.add(rows, self._scale.slot)
        return ""

    def finish(self) -> str:
        """The histograms since the last time."""
        found = [groups for groups in self._groups.values() if groups is not None]
        if self._view is None:
            return "\n".join([text for groups in found for text in self._drawn(groups)])
        texts = [self._view.render(groups.ranges, groups.rows(self._scale)) for groups in found]
        for groups in found:
            groups.counts = {}
        return "".join(texts) + self._view.finish()

    def _drawn(self, groups: _Groups) -> Iterable[str]:
        columns = columns_of(groups.schema.fields, self._names)
        counts, groups.counts = groups.counts, {}
        for key, slots in counts.items():
            title = ", ".join(f"{column.name} = {column.cell(key)}" for column in columns)
            yield (f"{title}\n" if title else "") + draw(slots, self._scale, self._field, self._width)


class _Groups:
    # The groups of one type of records, and how often a number of each was in which range.

    def __init__(self, schema: Schema, keys: Sequence[int], index: int) -> None:
        field = schema.fields[index]
        number = number_of(field)
        if number is None:
            raise UsageError(f"--hist: {field.name} is no number ({field.type.name})")
        self._number = number
        self._index = index
        self.schema, self._pick = picked(schema, keys)
        self.ranges = Schema(schema.name, schema.size, (*self.schema.fields, _LOW, _HIGH, _COUNT))
        self.counts: dict[tuple[Any, ...], dict[int, int]] = {}

    def add(self, rows: Iterable[Any], slot_of: Callable[[Any], int]) -> None:
        pick, number, index, counts = self._pick, self._number, self._index, self.counts
        for row in rows:
            value = number(row[index])
            if value - value != 0:
                continue  # an infinity, or no number at all
            slots = counts.setdefault(pick(row), {})
            slot = slot_of(value)
            slots[slot] = slots.get(slot, 0) + 1

    def rows(self, scale: Scale) -> Iterable[tuple[Any, ...]]:
        for key, slots in self.counts.items():
            for slot in sorted(slots):
                yield (*key, *scale.bounds(slot), slots[slot])
