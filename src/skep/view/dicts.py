"""Records as dicts, for Python: the keys of NDJSON (`skep.view.ndjson`), with Python's values."""

from __future__ import annotations

from json import loads

from skep.view.ndjson import Keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from skep.base.schema import Schema
    from skep.stream.names import Names

__all__ = ["Dicts"]


class Dicts:
    """Makes records dicts: what the kernel wrote, and beside a number that stands for something, for what.

    Args:
        names: resolved names of the run.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._made: dict[Schema, Callable[[Iterable[Any]], Iterator[dict[str, Any]]]] = {}

    def render(self, schema: Schema, rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
        """The dicts of some rows: ``{"ret": -2, "ret_name": "ENOENT"}``.

        Args:
            schema: of all these rows.
            rows: as `Schema.decode` gives them.
        """
        make = self._made.get(schema)
        if make is None:
            keys = Keys(schema.fields, self._names, lambda _: None, lambda write: lambda value: loads(write(value)))
            names = {f"k{index}": key for index, key in enumerate(keys.cells)}
            members = ", ".join(f"k{index}: {cell}" for index, cell in enumerate(keys.cells.values()))
            make = self._made[schema] = keys.compiled(f"{{{members}}}", names)
        return make(rows)
