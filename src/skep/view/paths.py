"""Members of structs within records by their path: ``pair.state`` is a field wherever an option names one."""

from __future__ import annotations

from skep.base.schema import Field, Schema
from skep.view.fields import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from skep.view.outputs import View

    Widen = Callable[[Any], tuple[Any, ...]]

__all__ = ["Narrowed", "Widened", "widened"]


def widened(schema: Schema, paths: Iterable[str]) -> tuple[Schema, Widen]:
    """Records with members of their structs as further fields.

    Args:
        schema: of the records.
        paths: names with dots. Those that the records lack are left out.

    Returns:
        The schema with them, and what makes such a record of a row.
    """
    found = [(path, member) for path in paths if (member := _member(schema, path)) is not None]
    fields = tuple(
        Field(path, field.offset, field.size, field.type, field.meaning, field.bits) for path, (field, _) in found
    )
    places = [place for _, (_, place) in found]
    return Schema(schema.name, schema.size, (*schema.fields, *fields)), lambda row: (
        *row,
        *[_at(row, place) for place in places],
    )


def _member(schema: Schema, path: str) -> tuple[Field, list[int]] | None:
    place: list[int] = []
    held, offset, field = schema, 0, None
    for name in path.split("."):
        index = find(held, name)
        if index is None:
            return None
        field = held.fields[index]
        place.append(index)
        offset += field.offset
        held = Schema(name, field.size, field.type.fields)
    assert field is not None, "a path has a part"
    return Field(path, offset, field.size, field.type, field.meaning, field.bits), place


def _at(row: Any, place: Sequence[int]) -> Any:
    for index in place:
        row = row[index]
    return row


class Widened:
    """A view that finds members of structs as fields.

    Args:
        view: where the records go.
        made: what `widened` gives for each schema of the run.
        paths: names with dots.
    """

    def __init__(self, view: View, made: dict[Schema, tuple[Schema, Widen]], paths: Sequence[str]) -> None:
        self._view = view
        self._made = made
        self._paths = paths

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """The text of some rows."""
        if schema not in self._made:
            self._made[schema] = widened(schema, self._paths)
        wide, widen = self._made[schema]
        return self._view.render(wide, map(widen, rows))

    def finish(self) -> str:
        """The text of what was held back."""
        return self._view.finish()


class Narrowed:
    """A view of whole records without what `Widened` has added.

    Args:
        view: where they go.
        made: that of `Widened`.
    """

    def __init__(self, view: View, made: dict[Schema, tuple[Schema, Widen]]) -> None:
        self._view = view
        self._made = made

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """The text of some rows."""
        whole = next((whole for whole, (wide, _) in self._made.items() if wide is schema), None)
        if whole is None:
            return self._view.render(schema, rows)
        count = len(whole.fields)
        return self._view.render(whole, (row[:count] for row in rows))

    def finish(self) -> str:
        """The text of what was held back."""
        return self._view.finish()
