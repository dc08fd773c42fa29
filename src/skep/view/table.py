"""Records as a table: one line each, the columns under a header.

A schema's header is written before its first line. When a run has several schemas, a first column EVENT tells each
line's: a header at every change of schema would double the lines where events alternate, and grep would lose them.

A stack of calls stands below the line of its record, a function a line, the innermost first.

Lines of text, which iterators print, are laid out already: they stand as they are, without a header.

Columns keep the widths that their types suggest, widened for the first batch, and narrowed where the terminal is.
A longer value shifts what follows it on its own line only, and only as far as the slack of later columns does not
absorb.
"""

from __future__ import annotations

from skep.view.columns import Column, columns_of
from skep.view.formatters import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from skep.base.schema import Schema
    from skep.stream.names import Names
    from skep.view.stacks import Frame

__all__ = ["Table"]

_GAP = "  "
_WIDEST = 40  # what one long value in the first batch may do to a column
_LABEL_WIDTH = 12
_NARROWEST = 10  # what remains of the last column on a terminal that is too narrow for the others


class Table:
    """Renders records as the lines of a table.

    Args:
        names: resolved names of the run.
        width: of the terminal, in characters: a last column that is no number is cut to fit. None: nothing is cut.
        labelled: whether the run has several schemas, so that each line says which.
    """

    def __init__(self, names: Names, *, width: int | None = None, labelled: bool = False) -> None:
        self._names = names
        self._width = width
        self._labelled = labelled
        self._columns: dict[Schema, list[Column]] = {}
        self._layouts: dict[Schema, _Layout] = {}
        self._below: dict[Schema, Callable[[Any], list[Frame]]] = {}

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """The lines of some rows, each ended by a newline; before a schema's first, its header.

        Args:
            schema: of all these rows.
            rows: as `Schema.decode` gives them.
        """
        if schema.is_text:
            return "".join([f"{_line(row[0])}\n" for row in rows])
        columns = self._columns.get(schema)
        if columns is None:
            columns = columns_of(schema.fields, self._names, stacks=False)
            self._columns[schema] = columns
            if any(field.is_stack for field in schema.fields):
                from skep.view.stacks import stack_of

                self._below[schema] = stack_of(schema.fields, self._names)
            if self._labelled:
                label = escape(schema.name)
                columns.insert(0, Column("event", lambda _: label, _LABEL_WIDTH, right=False))
        cells = [column.cell for column in columns]
        below = self._below.get(schema)
        stacks: list[str] = []
        if below is not None:
            rows = list(rows)
            stacks = ["".join([f"    {frame}\n" for frame in below(row)]) for row in rows]
        lines = [[cell(row) for cell in cells] for row in rows]
        if not lines or not columns:
            return "\n".join(stacks)
        layout = self._layouts.get(schema)
        if layout is None:
            layout = self._layouts[schema] = _Layout(columns, lines, self._width)
            lines.insert(0, [column.name.upper() for column in columns])
        shown = [layout.line(texts) for texts in lines]
        if stacks:
            stacks[:0] = [""] * (len(shown) - len(stacks))  # below the header stands none
            shown = [text for pair in zip(shown, stacks, strict=True) for text in pair]
        return "".join(shown)

    def finish(self) -> str:
        """Nothing: all rows are written as they come."""
        return ""


class _Layout:
    # Where the columns of one schema stand. Most lines are one `%`; those with a value that is too long or not ASCII
    # (its characters may take two cells, or none) are laid out piece by piece.

    def __init__(self, columns: Sequence[Column], first: Sequence[Sequence[str]], width: int | None) -> None:
        self.terminal = width
        needed = [
            max(len(column.name), *(min(_cells(texts[index]), _WIDEST) for texts in first))
            for index, column in enumerate(columns)
        ]
        widths = [max(column.width, cells) for column, cells in zip(columns, needed, strict=True)]
        if width is not None:
            if not columns[-1].right:
                # It is cut to fit, and gets no more than is usual for it.
                widths[-1] = needed[-1] = columns[-1].width
            widths = _narrowed(widths, needed, width - len(_GAP) * (len(widths) - 1))
        # The last column needs no width, unless it is aligned to the right.
        count = len(columns) if columns[-1].right else len(columns) - 1
        self.fixed = list(zip(widths, (column.right for column in columns), strict=True))[:count]
        self.format = "".join(f"%{'' if right else '-'}{cells}s{_GAP}" for cells, right in self.fixed)
        self.cells = sum(cells + len(_GAP) for cells, _ in self.fixed)

    def line(self, texts: list[str]) -> str:
        count = len(self.fixed)
        head = self.format % tuple(texts[:count])
        used = self.cells
        if len(head) != used or not head.isascii():
            head, used = self.uneven(texts)
        last = texts[count] if count < len(texts) else ""
        if self.terminal is not None:
            last = _cut(last, max(self.terminal - used, _NARROWEST))
        return f"{head}{last}".rstrip() + "\n"

    def uneven(self, texts: list[str]) -> tuple[str, int]:
        line = ""
        used = end = 0
        for text, (width, right) in zip(texts, self.fixed, strict=False):
            end += width
            cells = _cells(text)
            padding = " " * (end - used - cells)
            line += (padding + text if right else text + padding) + _GAP
            used += len(padding) + cells + len(_GAP)
            end += len(_GAP)
        return line, used


def _narrowed(widths: list[int], needed: list[int], room: int) -> list[int]:
    # Where there is no room for the widths, the columns share what is left beside what the first records need.
    spare = sum(widths) - sum(needed)
    if sum(widths) <= room or not spare:
        return widths
    left = max(room - sum(needed), 0)
    return [cells + (width - cells) * left // spare for width, cells in zip(widths, needed, strict=True)]


def _line(text: str) -> str:
    # Tabs are how programs that print align their columns.
    return "\t".join(map(escape, text.split("\t")))


def _cells(text: str) -> int:
    # What a terminal needs for a text: East Asian characters take two cells, combining ones none.
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(character) else 1 + (east_asian_width(character) in "WF") for character in text)


def _cut(text: str, cells: int) -> str:
    if len(text) * 2 <= cells or _cells(text) <= cells:
        return text
    text = text[:cells]
    while _cells(text) >= cells:
        text = text[:-1]
    return text + "…"
