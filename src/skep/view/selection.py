"""What stands before a view: each option that chooses, orders or counts records is a view that hands on to the next."""

from __future__ import annotations

from skep.base.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from skep.base.schema import Schema
    from skep.stream.names import Names
    from skep.view.outputs import View

__all__ = ["Tally", "selected"]


class Tally:
    """How many records came to a filter, and how many it let through."""

    __slots__ = ("came", "passed")

    def __init__(self) -> None:
        self.came = 0
        self.passed = 0


def selected(
    make: Callable[[], View],
    names: Names,
    schemas: Sequence[Schema],
    *,
    filter: str = "",  # noqa: A002 - the option's word
    fields: str = "",
    sort: str = "",
    limit: int | None = None,
    group_by: str = "",
    sums: str = "",
    count: bool = False,
    hist: str = "",
    hist_linear: str = "",
    drawn: bool = True,
    rounds: bool = False,
    width: int | None = None,
    tally: Tally | None = None,
) -> View:
    """A view of the records that are asked for, or of what is counted of them.

    Args:
        make: makes the view that shows them.
        names: resolved names of the run.
        schemas: of the run's records.
        filter: an expression (`skep.view.filter`); "" lets all through.
        fields: as `skep.view.order.Chosen` takes them; "" for all.
        sort: as `skep.view.order.Ordered` takes it; "" for the order in which they come.
        limit: how many are shown until `finish`; None for all.
        group_by: fields that the records of a group have in common, separated by commas; "" for none.
        sums: fields that are added up in each group.
        count: whether to count the records of each group.
        hist: a field whose distribution is shown, in ranges that double.
        hist_linear: ``FIELD:STEP``: the same, in ranges that are STEP wide: a number, or ``10ms`` of a
            span of time.
        drawn: whether it is for people: histograms are drawn, and a header stands above each round. Else ranges are
            records.
        rounds: whether what is shown after each interval is a whole of its own, with its header.
        width: of the terminal; None: nothing is made to fit.
        tally: counts what the filter lets through; None where nobody asks.

    Raises:
        UsageError: an expression is none, no records have a field, or it is of the wrong kind.
    """
    paths = _paths(filter, fields, sort.removeprefix("-"), group_by, sums, hist, hist_linear.rpartition(":")[0])
    if paths:
        from skep.view.paths import Narrowed, Widened, widened

        made = {schema: widened(schema, paths) for schema in schemas}
        schemas = [wide for wide, _ in made.values()]
        whole, make = make, lambda: Narrowed(whole(), made)

    def shown(found: Sequence[Schema]) -> View:
        # The last of them first: each is made with the one that it hands on to.
        view: View = _Renewed(make) if drawn and (sort or counted or rounds) else make()
        if fields:
            from skep.view.order import Chosen

            view = Chosen(view, found, fields)
        if sort or limit is not None:
            from skep.view.order import Ordered

            view = Ordered(view, found, sort, limit)
        return view

    counted = bool(group_by or sums or count or hist or hist_linear)
    if hist or hist_linear:
        from skep.view.histogram import Histograms

        if sums or (hist and hist_linear):
            raise UsageError("one of --hist, --hist-linear and --sum can be shown")
        if drawn and (fields or sort or limit is not None):
            raise UsageError(
                "--hist is a picture, without --fields, --sort and --limit", remedy="-o json shows ranges."
            )
        field, scale = _scale(hist, hist_linear, schemas)
        view: View = Histograms(
            None if drawn else shown, names, schemas, field, scale, keys=group_by, width=width
        )  # fmt: skip
    elif counted:
        from skep.view.aggregate import Aggregated

        view = Aggregated(shown, schemas, group_by, sums, count=count)
    else:
        view = shown(schemas)
    if filter:
        from skep.view.filter import Filtered

        view = Filtered(view, names, schemas, filter, tally)
    return Widened(view, made, paths) if paths else view


def _paths(text: str, *named: str) -> list[str]:
    """The members of structs that are asked for: in a filter, and in lists of fields."""
    paths = [name.strip().removeprefix("-") for names in named for name in names.split(",")]
    if "." in text:
        from skep.view.filter import Filter

        paths += Filter(text).fields
    return [path for path in dict.fromkeys(paths) if "." in path]


class _Renewed:
    """A view that begins anew, with its header, after each `finish`."""

    def __init__(self, make: Callable[[], View]) -> None:
        self._make = make
        self._view = make()

    def render(self, schema: Schema, rows: Iterable[Any]) -> str:
        """The text of some rows."""
        return self._view.render(schema, rows)

    def finish(self) -> str:
        """The text of what was held back."""
        text = self._view.finish()
        self._view = self._make()
        return text


def _scale(hist: str, hist_linear: str, schemas: Sequence[Schema]) -> tuple[str, Any]:
    from skep.view.histogram import Scale

    if hist:
        return hist, Scale()
    field, _, text = hist_linear.rpartition(":")
    step = _step(field, text, schemas)
    if not field or step <= 0:
        raise UsageError(f"--hist-linear {hist_linear}: it takes FIELD:STEP, such as latency_us:100")
    return field, Scale(step)


def _step(field: str, text: str, schemas: Sequence[Schema]) -> int:
    """A number, or how many of the field's units a span of time has; 0 for any other text."""
    from skep.spec.values import Value
    from skep.view.fields import find

    if text.isdecimal() and len(text) <= 18:
        return int(text)
    for schema in schemas:
        index = find(schema, field)
        if index is not None and (schema.fields[index].meaning or "").startswith("duration_"):
            found = schema.fields[index]
            value = Value("STEP", found.type, found.meaning)
            return int(value.read(value.parse(text)))
    return 0
