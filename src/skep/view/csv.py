"""Records as CSV: a header, and a line for each record (RFC 4180), for spreadsheets and whatever reads nothing else.

The columns are the keys of NDJSON (`skep.view.ndjson`): what the kernel wrote, and beside a number that stands for
something, for what. Structs and arrays are JSON in their cell. There is one header, so all records are of one kind.
"""

from __future__ import annotations

from csv import writer
from io import StringIO
from json import loads

from skep.base.errors import UsageError
from skep.view.columns import TEXTS
from skep.view.formatters import escape
from skep.view.ndjson import Keys, writer_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from skep.base.schema import Field, Schema
    from skep.stream.names import Names

__all__ = ["Csv"]


class Csv:
    """Renders records as CSV.

    Args:
        names: resolved names of the run.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._schema: Schema | None = None
        self._cells: Callable[[Iterable[Any]], Iterator[tuple[Any, ...]]] = iter

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """The lines of some rows, with a header before the first.

        Args:
            schema: of all these rows.
            rows: as `Schema.decode` gives them.

        Raises:
            UsageError: these are records of another kind than those before.
        """
        text = StringIO()
        lines = writer(text)
        if self._schema is None:
            self._schema = schema
            keys = Keys(schema.fields, self._names, self._own, _second)
            self._cells = keys.compiled(f"({''.join(f'{cell}, ' for cell in keys.cells.values())})", {})
            lines.writerow(map(escape, keys.cells))
        elif schema is not self._schema:
            raise UsageError(
                f"CSV has one header: beside {self._schema.name}, there are records of {schema.name}",
                remedy="-o json shows both; --group-by and --hist choose those that have a field.",
            )
        lines.writerows(self._cells(rows))
        return text.getvalue()

    def _own(self, field: Field) -> Callable[[Any], Any] | None:
        if field.type.kind in {"int", "enum", "pointer"}:
            return None
        if field.type.kind == "text":
            return escape
        write = writer_of(field.type, field.meaning, self._names)
        if field.meaning in TEXTS or field.type.kind == "bytes":
            return lambda value: escape(str(loads(write(value))))
        return write

    def finish(self) -> str:
        """Nothing: all rows are written as they come."""
        return ""


def _second(write: Callable[[Any], str]) -> Callable[[Any], Any]:
    def cell(value: Any) -> Any:
        written = write(value)
        return written if written.startswith("[") else loads(written)

    return cell
