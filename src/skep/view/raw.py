"""`--raw`: numbers as the kernel wrote them, without what they stand for."""

from __future__ import annotations

from skep.base.schema import Field, Schema, Type
from skep.view.columns import TEXTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from skep.view.outputs import View

__all__ = ["Raw"]


class Raw:
    """A view of records without meanings: text stays text, all else is numbers.

    Args:
        view: where they go.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._schemas: dict[Schema, Schema] = {}

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """The text of some rows."""
        raw = self._schemas.get(schema)
        if raw is None:
            raw = self._schemas[schema] = Schema(schema.name, schema.size, _fields(schema.fields))
        return self._view.render(raw, rows)

    def finish(self) -> str:
        """The text of what was held back."""
        return self._view.finish()


def _fields(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    return tuple(
        Field(
            field.name,
            field.offset,
            field.size,
            _type(field.type),
            field.meaning if field.meaning in TEXTS else None,
            field.bits,
        )
        for field in fields
    )


def _type(held: Type) -> Type:
    element = None if held.element is None else _type(held.element)
    return Type(
        "int" if held.kind in {"enum", "pointer"} else held.kind,
        held.size,
        held.name,
        signed=held.signed,
        element=element,
        count=held.count,
        fields=_fields(held.fields),
    )
