"""Histograms that programs count themselves: in an array called `slots` of a map's values, or a slot for each key."""

from __future__ import annotations

from skep.view.columns import columns_of
from skep.view.fields import find, picked
from skep.view.histogram import Scale, draw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from skep.base.schema import Schema
    from skep.stream.names import Names
    from skep.view.outputs import View

__all__ = ["Slots"]

_HISTOGRAMS = {"log2_hist": Scale(), "linear_hist": Scale(1)}


class Slots:
    """A view that draws what is a histogram, and hands on what is none.

    A record with an array called `slots` is one: how often a number was in each range, those of its other fields its
    title. So are the records of a map whose annotation says so: the field `slot`, else the key, is the range, the last
    field the count.

    Args:
        view: where the others go.
        names: resolved names of the run.
        samples: the annotations ``@sample`` of maps, by the schemas of their entries; empty for those without.
        width: of the terminal; None: nothing is made to fit.
    """

    def __init__(
        self, view: View, names: Names, samples: Mapping[Schema, Mapping[str, Any]], width: int | None
    ) -> None:
        self._view = view
        self._names = names
        self._width = width
        self._samples = {schema: sample for schema, sample in samples.items() if _counts(schema, sample) is not None}

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """The text of some rows: for those of one map, all at once."""
        sample = self._samples.get(schema)
        if sample is None:
            return self._view.render(schema, rows)
        counts = _counts(schema, sample)
        assert counts is not None
        positions, count = counts
        group, pick = picked(schema, [index for index in range(len(schema.fields)) if index not in positions])
        found: dict[tuple[Any, ...], dict[int, int]] = {}
        for row in rows:
            slots = found.setdefault(pick(row), {})
            for slot, number in count(row):
                slots[slot] = slots.get(slot, 0) + number
        columns = columns_of(group.fields, self._names)
        texts = []
        for key, slots in found.items():
            # The only one needs no name: it is mostly entry 0 of an array.
            title = ", ".join(f"{column.name} = {column.cell(key)}" for column in columns if len(found) > 1)
            scale = _HISTOGRAMS[sample.get("type", "log2_hist")]
            drawn = draw(slots, scale, sample.get("unit", schema.name), self._width)
            texts.append((f"{title}\n" if title else "") + drawn)
        return "\n".join(texts)

    def finish(self) -> str:
        """The text of what was held back."""
        return self._view.finish()


def _counts(
    schema: Schema, sample: Mapping[str, Any]
) -> tuple[tuple[int, ...], Callable[[Any], Iterable[tuple[int, int]]]] | None:
    """The fields that are the counts, and what takes (slot, count) of a row; None where there are none."""
    kind = sample.get("type", "log2_hist")
    if kind not in _HISTOGRAMS:
        return None
    slots = find(schema, "slots")
    if slots is not None:
        element = schema.fields[slots].type.element
        if element is not None and element.kind == "int":
            return (slots,), lambda row: [(slot, number) for slot, number in enumerate(row[slots]) if number]
    if "type" not in sample:
        return None
    slot, last = find(schema, "slot"), len(schema.fields) - 1
    slot = find(schema, "key") if slot is None else slot
    if slot is None or slot == last or any(schema.fields[index].type.kind != "int" for index in (slot, last)):
        return None
    return (slot, last), lambda row: [(row[slot], row[last])] if row[last] else []
