"""`--group-by`, `--sum` and `--count`: records counted and added up, one line for each group."""

from __future__ import annotations

from skep.base.errors import UsageError
from skep.base.meaning import MEANINGS
from skep.base.schema import Field, Schema, Type
from skep.view.fields import find, number_of, picked, require

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from skep.view.outputs import View

__all__ = ["Aggregated"]

_COUNT = Field("count", 0, 8, Type("int", 8, "u64"))


class Aggregated:
    """A view of groups of records, each with its sums and its number of records.

    Args:
        view: where the groups go, as records of their own: the fields of the group, then the sums, then `count`.
        schemas: of the run's records. Of a type that lacks one of the fields, nothing is counted.
        keys: names of the fields that a group has in common; none: all records are one group.
        sums: names of the fields that are added up.
        count: whether to show the number of records; where nothing is added up, it is shown.

    `schemas` are those of the groups.

    Raises:
        UsageError: no records have such a field, or what is to be added up is no number.
    """

    def __init__(
        self, view: Callable[[Sequence[Schema]], View], schemas: Sequence[Schema], keys: str, sums: str, *, count: bool
    ) -> None:
        self._keys = _names(keys)
        self._sums = _names(sums)
        self._count = count or not sums
        require(self._keys, schemas, "--group-by")
        require(self._sums, schemas, "--sum")
        self._groups = {schema: self._of(schema) for schema in schemas}
        self._view = view([group.schema for group in self._groups.values() if group is not None])

    def _of(self, schema: Schema) -> _Groups | None:
        keys = [find(schema, name) for name in self._keys]
        sums = [find(schema, name) for name in self._sums]
        if None in keys or None in sums:
            return None
        return _Groups(
            schema, [index for index in keys if index is not None], [index for index in sums if index is not None],
            count=self._count,
        )  # fmt: skip

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """Nothing: they are counted."""
        if schema not in self._groups:
            self._groups[schema] = self._of(schema)
        groups = self._groups[schema]
        if groups is not None:
            groups.add(rows)
        return ""

    def finish(self) -> str:
        """The groups since the last time."""
        text = "".join(
            [self._view.render(groups.schema, groups.take()) for groups in self._groups.values() if groups is not None]
        )
        return text + self._view.finish()


class _Groups:
    # The groups of one type of records.

    def __init__(self, schema: Schema, keys: Sequence[int], sums: Sequence[int], *, count: bool) -> None:
        group, self._pick = picked(schema, keys)
        self._sums = [(index, _summable(schema.fields[index])) for index in sums]
        added = [_added(schema.fields[index]) for index in sums]
        fields = (*group.fields, *added, *([_COUNT] if count else ()))
        self.schema = Schema(schema.name, schema.size, fields)
        self._members = len(added) + 1 if count else len(added)
        # The group's fields -> its sums, and its number of records.
        self._totals: dict[tuple[Any, ...], list[Any]] = {}

    def add(self, rows: Iterable[Any]) -> None:
        pick, sums, totals = self._pick, self._sums, self._totals
        last = len(sums)
        for row in rows:
            key = pick(row)
            total = totals.get(key)
            if total is None:
                total = totals[key] = [0] * (last + 1)
            total[last] += 1
            for place, (index, number) in enumerate(sums):
                total[place] += number(row[index])

    def take(self) -> list[tuple[Any, ...]]:
        totals, self._totals = self._totals, {}
        return [key + tuple(total[: self._members]) for key, total in totals.items()]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")] if text else []


def _summable(field: Field) -> Callable[[Any], Any]:
    number = number_of(field)
    if number is None:
        raise UsageError(f"--sum: {field.name} is no number ({field.type.name})")
    return number


def _added(field: Field) -> Field:
    # What a sum means is what its parts mean, as long as that is an amount.
    is_amount = field.meaning is not None and MEANINGS[field.meaning].kind in {"duration", "count"}
    kind = Type("float", 8, "double") if field.type.kind == "float" else Type("int", 8, "s64", signed=True)
    return Field(field.name, 0, 8, kind, field.meaning if is_amount else None)
