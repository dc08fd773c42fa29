"""`--fields`, `--sort` and `--limit`: which columns of which records, in which order."""

from __future__ import annotations

from skep.base.errors import UsageError
from skep.view.columns import hidden
from skep.view.fields import find, number_of, picked, require

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from skep.base.schema import Schema
    from skep.view.outputs import View

__all__ = ["Chosen", "Ordered"]

# Where a limit is set, so many records more than it are held before those that cannot be shown are dropped.
_SLACK = 4096


class Chosen:
    """A view of some of the fields.

    Args:
        view: where the records go.
        schemas: of the run's records.
        text: names, separated by commas, in the order in which they are shown; ``-NAME`` leaves one out, and with
            none but such, all others are shown. Of a type of records without any of them, nothing is shown.

    Raises:
        UsageError: no records have such a field.
    """

    def __init__(self, view: View, schemas: Sequence[Schema], text: str) -> None:
        names = [name.strip() for name in text.split(",")]
        self._left_out = {name[1:] for name in names if name[:1] == "-"}
        self._shown = [name for name in names if name[:1] != "-"]
        require([name.removeprefix("-") for name in names], schemas, "--fields")
        self._view = view
        self._picked = {schema: self._pick(schema) for schema in schemas}

    def _pick(self, schema: Schema) -> tuple[Schema, Callable[[Any], Any]] | None:
        if self._shown:
            found = [find(schema, name) for name in self._shown if name not in self._left_out]
            positions = [index for index in found if index is not None]
        else:
            fields = enumerate(schema.fields)
            positions = [index for index, field in fields if field.name not in self._left_out and not hidden(field)]
        return picked(schema, positions) if positions else None

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """The text of some rows."""
        if schema not in self._picked:
            self._picked[schema] = self._pick(schema)
        chosen = self._picked[schema]
        return "" if chosen is None else self._view.render(chosen[0], map(chosen[1], rows))

    def finish(self) -> str:
        """The text of what was held back."""
        return self._view.finish()


class Ordered:
    """A view of the first records: in the order of a field, or in that in which they come.

    Args:
        view: where they go.
        schemas: of the run's records.
        field: the name of the field; ``-NAME`` for the largest first. "" for none. Those that are sorted are held
            until `finish`; of several types each is sorted apart, and those without the field come as they came.
        limit: how many are shown until `finish`, of all types together; None for all.

    Raises:
        UsageError: no records have such a field, or it has no order.
    """

    def __init__(self, view: View, schemas: Sequence[Schema], field: str, limit: int | None) -> None:
        self._view = view
        self._name = field.removeprefix("-")
        self._falling = field.startswith("-")
        self._limit = limit
        self._shown = 0
        self._held: dict[Schema, list[Any]] = {}
        if field:
            require([self._name], schemas, "--sort")
            for schema in schemas:
                self._key(schema)

    def _key(self, schema: Schema) -> Callable[[Any], Any] | None:
        index = find(schema, self._name)
        if index is None:
            return None
        field = schema.fields[index]
        number = number_of(field)
        if number is not None:
            return lambda row: number(row[index])
        if field.type.kind in {"struct", "union"} or (field.type.element and field.type.element.kind != "int"):
            raise UsageError(f"--sort: {field.name} has no order ({field.type.name})")
        return lambda row: row[index]

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """The text of some rows; "" if they are held back, or beyond the limit."""
        if not self._name:
            return self._some(schema, rows)
        held = self._held.setdefault(schema, [])
        held.extend(rows)
        if self._limit is not None and len(held) > self._limit + _SLACK:
            self._held[schema] = self._first(schema, held)
        return ""

    def _first(self, schema: Schema, rows: list[Any]) -> list[Any]:
        key = self._key(schema)
        return (rows if key is None else sorted(rows, key=key, reverse=self._falling))[: self._limit]

    def _some(self, schema: Schema, rows: Iterable[Any]) -> str:
        if self._limit is not None:
            rows = list(rows)[: self._limit - self._shown]
            self._shown += len(rows)
        return self._view.render(schema, rows)

    def finish(self) -> str:
        """The text of what was held back."""
        held, self._held = self._held, {}
        text = "".join([self._some(schema, self._first(schema, rows)) for schema, rows in held.items()])
        self._shown = 0
        return text + self._view.finish()
