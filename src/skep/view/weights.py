"""What the stacks of a run weigh: each record once, or as much as one of its numbers; an entry of a map its value."""

from __future__ import annotations

from operator import itemgetter

from skep.base.errors import UsageError
from skep.base.meaning import MEANINGS
from skep.base.schema import Field, Schema
from skep.stream.places import length_of, process_of
from skep.view.fields import find, number_of, require
from skep.view.formatters import escape
from skep.view.stacks import stack_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from typing import Any

    from skep.stream.names import Names
    from skep.view.stacks import Frame

__all__ = ["Weights"]


class Weights:
    """A view that holds all stacks back, and adds up those that are the same.

    Args:
        names: resolved names of the run.
        schemas: of the run's records. Those without a stack weigh nothing.
        tables: those whose records are entries of maps: the last field is what they weigh.
        weight: the field that says what a record weighs; "" for 1.
        show: makes the text of what is added up.
        limit: how many stacks are shown, the heaviest; None for all.

    Raises:
        UsageError: no records hold a stack, or the weight is no field, or no number.
    """

    def __init__(
        self,
        names: Names,
        schemas: Sequence[Schema],
        tables: Collection[Schema],
        weight: str,
        show: Callable[[Weights], str],
        limit: int | None = None,
    ) -> None:
        self._names = names
        self._tables = tables
        self._weight = weight
        self._show = show
        self._limit = limit
        stacked = [schema for schema in schemas if any(field.is_stack for field in schema.fields)]
        if not stacked:
            raise UsageError(
                "no record holds a stack of calls",
                remedy="A field for one is called kernel_stack, user_stack or stack; or it has `/// @format stack`.",
            )
        if weight:
            require([weight], stacked, "--sum")
        self._groups = {schema: self._group(schema) for schema in stacked}

    def _group(self, schema: Schema) -> _Group | None:
        if not any(field.is_stack for field in schema.fields):
            return None
        weight = len(schema.fields) - 1 if schema in self._tables else None
        if self._weight:
            weight = find(schema, self._weight)
            if weight is None:
                return None
        return _Group(schema, weight, self._names)

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """Nothing: they are held back."""
        if schema not in self._groups:
            self._groups[schema] = self._group(schema)
        group = self._groups[schema]
        if group is not None:
            group.add(rows)
        return ""

    def passed(self, *, cleared: Collection[Schema] = ()) -> None:
        """An interval has passed, after which maps are read anew.

        Args:
            cleared: those whose maps were taken empty as they were read. What others hold will come again.
        """
        for schema, group in self._groups.items():
            if group is not None and schema in self._tables and schema not in cleared:
                group.weights.clear()

    def finish(self) -> str:
        """The text of all of them."""
        return self._show(self)

    @property
    def unit(self) -> str:
        """The unit of the weights: ``ns``, ``us``, ``ms``, ``bytes``; "" for none, and where kinds differ."""
        units = {group.unit for group in self._groups.values() if group is not None}
        return units.pop() if len(units) == 1 else ""

    @property
    def what(self) -> str:
        """What the weights are of: a field's name, or the records'."""
        found = dict.fromkeys(group.what for group in self._groups.values() if group is not None)
        return ", ".join(found)

    def stacks(self) -> dict[tuple[Frame | str, ...], int]:
        """Each stack, outermost first, behind the name of its process, with what it weighs; in the order of names."""
        found: dict[tuple[Frame | str, ...], int] = {}
        for group in self._groups.values():
            for frames, weight in group.stacks() if group is not None else ():
                found[frames] = found.get(frames, 0) + weight
        if self._limit is not None:
            found = dict(sorted(found.items(), key=lambda entry: -entry[1])[: self._limit])
        return dict(sorted(found.items()))


class _Group:
    # The stacks of one kind of records.

    def __init__(self, schema: Schema, weight: int | None, names: Names) -> None:
        fields = schema.fields
        named = (index for index, field in enumerate(fields) if field.meaning == "comm" and field.type.kind == "text")
        comm = next(named, None)
        taken = [index for index, field in enumerate(fields) if field.is_stack]
        lengths = [length_of(fields, fields[index].name) for index in taken]
        taken += [index for index in (process_of(fields), comm, *lengths) if index is not None]
        taken = list(dict.fromkeys(taken))
        # One alone would come without its tuple.
        self._pick = itemgetter(*taken) if len(taken) > 1 else lambda row: (row[taken[0]],)
        self._comm = taken.index(comm) if comm is not None else None
        self._stack = stack_of(tuple(fields[index] for index in taken), names)
        self._weight = weight
        self._number = _number(fields[weight]) if weight is not None else None
        meaning = MEANINGS.get(fields[weight].meaning or "") if weight is not None else None
        self.unit = meaning.unit if meaning is not None else ""
        self.what = escape(fields[weight].name if weight is not None else f"{schema.name} records")
        self.weights: dict[tuple[Any, ...], int] = {}

    def add(self, rows: Iterable[Any]) -> None:
        pick, weights, weight, number = self._pick, self.weights, self._weight, self._number
        if weight is None or number is None:
            from collections import Counter

            for key, count in Counter(map(pick, rows)).items():
                weights[key] = weights.get(key, 0) + count
            return
        for row in rows:
            key = pick(row)
            weights[key] = weights.get(key, 0) + number(row[weight])

    def stacks(self) -> Iterator[tuple[tuple[Frame | str, ...], int]]:
        for key, weight in self.weights.items():
            frames = self._stack(key)
            head = [escape(key[self._comm])] if self._comm is not None else []
            if weight > 0 and (head or frames):
                yield (*head, *reversed(frames)), weight


def _number(field: Field) -> Callable[[Any], int]:
    found = number_of(field)
    if found is None or field.type.kind == "float":
        raise UsageError(
            f"stacks cannot be weighed by {field.name}: it is no whole number ({field.type.name})",
            remedy="--sum FIELD says by which.",
        )
    return found
