"""What `-o` offers: words, and the view that each stands for.

A view is made for one run. Its `render(schema, rows)` gives the text of some rows, which may be "". Its `finish()`,
after each interval and at the end, gives the text of what it has held back, and begins anew.

What chooses among the records, orders or counts them is a view of its own, before one of these (`skep.view.selection`).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    from skep.base.schema import Schema
    from skep.stream.names import Names
    from skep.view.weights import Weights

    class View(Protocol):
        """What every view can do."""

        def render(self, schema: Schema, rows: Iterable[Any]) -> str:
            """The text of some rows of one schema."""

        def finish(self) -> str:
            """The text of what was held back."""


__all__ = ["OUTPUTS", "STACKED"]


def _table(names: Names, width: int | None, labelled: bool) -> View:  # noqa: FBT001 - one call, of all of them
    from skep.view.table import Table

    return Table(names, width=width, labelled=labelled)


def _json(names: Names, width: int | None, labelled: bool) -> View:  # noqa: ARG001, FBT001
    from skep.view.ndjson import Ndjson

    return Ndjson(names, labelled=labelled)


def _csv(names: Names, width: int | None, labelled: bool) -> View:  # noqa: ARG001, FBT001
    from skep.view.csv import Csv

    return Csv(names)


def _folded(weights: Weights) -> str:
    from skep.view.folded import folded

    return folded(weights)


def _flame(weights: Weights) -> str:
    from skep.view.flame import flame

    return flame(weights)


def _speedscope(weights: Weights) -> str:
    from skep.view.speedscope import speedscope

    return speedscope(weights)


OUTPUTS: dict[str, Callable[[Names, int | None, bool], View]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
}
"""Word -> what makes the view: of the run's names, the terminal's width, and whether the run has several schemas."""

STACKED: dict[str, Callable[[Weights], str]] = {
    "folded": _folded,
    "flame": _flame,
    "speedscope": _speedscope,
}
"""Word -> what makes the text of all stacks of a run, once it is over: of what each weighs (`skep.view.weights`)."""
