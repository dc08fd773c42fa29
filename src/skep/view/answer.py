"""What a question in SQL gives, as text: rows of text that DuckDB has made, under the names of its columns."""

from __future__ import annotations

from skep.view.formatters import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["csv_answer", "json_answer", "table_answer"]


def table_answer(columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str | None]]) -> str:
    """A table, each column as wide as its longest value.

    Args:
        columns: of each, its name, and whether it holds numbers, which stand to the right.
        rows: their values; None for null, which is shown as nothing.
    """
    lines = [[escape(name).upper() for name, _ in columns]]
    lines += [["" if value is None else escape(value) for value in row] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    shown = (
        "  ".join(
            f"{cell:>{width}}" if right else f"{cell:<{width}}"
            for cell, width, (_, right) in zip(line, widths, columns, strict=True)
        )
        for line in lines
    )
    return "".join(f"{line.rstrip()}\n" for line in shown)


def csv_answer(columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str | None]]) -> str:
    """The same as CSV.

    Args:
        columns: as for `table_answer`.
        rows: as for `table_answer`.
    """
    from csv import writer
    from io import StringIO

    text = StringIO()
    lines = writer(text)
    lines.writerow([escape(name) for name, _ in columns])
    lines.writerows([None if value is None else escape(value) for value in row] for row in rows)
    return text.getvalue()


def json_answer(objects: Iterable[str]) -> str:
    """The same as NDJSON, in ASCII: what would act on a terminal is escaped.

    Args:
        objects: each row as DuckDB writes it, an object.
    """
    from json import dumps, loads

    return "".join(f"{dumps(loads(each))}\n" for each in objects).replace("\x7f", "\\u007f")
