"""What the verbs that show records share: the options of views, and where what they show goes.

Text goes to a view (`skep.view`), columns to a recorder (`skep.stream.recorder`): to standard output, or to a file.
"""

from __future__ import annotations

import os
import sys

from skep.base.errors import UnsupportedError, UsageError
from skep.base.progress import erase
from skep.cli.parser import positive, terminal_width
from skep.view.outputs import OUTPUTS, STACKED
from skep.view.selection import Tally, selected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Action, Namespace
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Any, BinaryIO, Self

    from skep.base.destination import Destination
    from skep.base.schema import Schema
    from skep.stream.batch import Batch
    from skep.stream.names import Names
    from skep.view.outputs import View

__all__ = ["COLUMNS", "add_options", "joined", "output_of"]

COLUMNS = ("arrow", "parquet")
"""The outputs that keep records whole, in columns: `skep replay` reads them."""

_SUFFIXES = {"parquet": "parquet", "arrow": "arrow", "arrows": "arrow", "csv": "csv", "json": "json", "ndjson": "json"}
_SUFFIXES |= {"jsonl": "json", "txt": "table", "folded": "folded", "html": "flame"}


def add_options(add: Callable[..., Action]) -> list[Action]:
    """The options that say how records are shown.

    Args:
        add: of the parser: `add_argument`.
    """
    return [
        add(
            "-o",
            "--output",
            choices=[*OUTPUTS, *STACKED, *COLUMNS],
            help="how to show events (default: table, or as FILE ends)",
        ),
        add("--to", metavar="FILE", help="put them into a file, which is there once it is whole; FILE.part until then"),
        add(
            "--filter",
            default="",
            metavar="EXPRESSION",
            help="show these only: 'pid == 3 and comm =~ \"py.*\" and ret < 0'",
        ),
        add("--fields", default="", metavar="A,B", help="show these fields, in this order; -A shows all but A"),
        add("--sort", default="", metavar="FIELD", help="show them at the end, in this order; -FIELD: largest first"),
        add(
            "--group-by", default="", metavar="A,B", help="count the records that have these fields in common, together"
        ),
        add("--sum", default="", metavar="FIELD", help="add up a field, or several: of each group, or of all records"),
        add("--hist", default="", metavar="FIELD", help="draw how a number is distributed, in ranges that double"),
        add("--hist-linear", default="", metavar="FIELD:STEP", help="the same, in ranges STEP wide: 100, or 10ms"),
        add("--raw", action="store_true", help="show numbers, not what they stand for"),
        add("--limit", type=positive, metavar="N", help="show no more than the first N"),
    ]


def joined(arguments: Sequence[str]) -> list[str]:
    """The arguments, values that begin with a - joined to their options: argparse would take them for options.

    Args:
        arguments: of the command line.
    """
    given = list(arguments)
    for position in range(len(given) - 1, 0, -1):
        option, value = given[position - 1 : position + 1]
        if "--" in given[:position]:
            continue
        if option in {"--fields", "--sort"} and value[:1] == "-" and value[1:2] not in {"", "-"}:
            given[position - 1 : position + 1] = [f"{option}={value}"]
    return given


def output_of(
    options: Namespace,
    names: Names,
    schemas: Sequence[tuple[str, Schema]],
    samples: Mapping[Schema, Mapping[str, Any]],
    about: Mapping[str, Any],
    *,
    count: bool,
) -> Output:
    """Where records go, as the options say.

    Args:
        options: those of `add_options`, read.
        names: resolved names of the run.
        schemas: those of the run, each with what it comes from.
        samples: the annotations ``@sample`` of maps, by the schemas of their entries; empty for those without.
        about: what a recording says of the run.
        count: whether the records are to be counted.

    Raises:
        UsageError: what is asked of the records does not go together, or the file cannot be written.
        UnsupportedError: pyarrow is missing.
    """
    kind = options.output or _kind(options.to)
    tally = Tally() if options.filter else None
    if kind in COLUMNS:
        if any((options.fields, options.sort, options.group_by, options.sum, options.hist, options.hist_linear, count)):
            raise UsageError(
                f"-o {kind} keeps records whole: of what chooses and counts it takes --filter alone",
                remedy="Choose and count what was recorded: skep replay FILE, skep query FILE.",
            )
        return _Columns(
            kind,
            _destination(options.to, kind),
            options.filter,
            options.limit,
            (names, schemas, about, samples),
            tally,
        )
    if kind in STACKED:
        return _stacks(kind, options, names, [schema for _, schema in schemas], samples, tally, count=count)
    width = terminal_width() if os.isatty(1) and not options.to else None
    known = [schema for _, schema in schemas]

    def shown() -> View:
        view = OUTPUTS[kind](names, width, len(known) > 1)
        if options.raw:
            from skep.view.raw import Raw

            view = Raw(view)
        if not samples or kind != "table":
            return view
        from skep.view.slots import Slots

        return Slots(view, names, samples, width)

    view = selected(
        shown,
        names,
        known,
        filter=options.filter,
        fields=options.fields,
        sort=options.sort,
        limit=options.limit,
        group_by=options.group_by,
        sums=options.sum,
        count=count,
        hist=options.hist,
        hist_linear=options.hist_linear,
        drawn=kind == "table",
        rounds=bool(samples),
        width=width,
        tally=tally,
    )
    return _Text(view, _destination(options.to, kind), tally)


def _stacks(
    kind: str,
    options: Namespace,
    names: Names,
    schemas: Sequence[Schema],
    samples: Mapping[Schema, Mapping[str, Any]],
    tally: Tally | None,
    *,
    count: bool,
) -> Output:
    """What shows the stacks of a run, all together, at its end."""
    if any((options.fields, options.sort, options.group_by, options.hist, options.hist_linear, options.raw, count)):
        raise UsageError(
            f"-o {kind} shows whole stacks: of what chooses and counts it takes --filter, --limit and --sum",
            remedy="--sum FIELD says what they weigh; else each record weighs 1, an entry of a map its value.",
        )
    from skep.view.weights import Weights

    weights = Weights(names, schemas, samples, options.sum, STACKED[kind], options.limit)
    view = selected(lambda: weights, names, schemas, filter=options.filter, tally=tally)
    cleared = {schema for schema, sample in samples.items() if sample.get("clear_map")}
    return _Whole(view, _destination(options.to, kind), tally, lambda: weights.passed(cleared=cleared))


def _kind(path: str | None) -> str:
    if path is None:
        return "table"
    suffix = os.path.basename(path).rpartition(".")[2].lower()
    if suffix not in _SUFFIXES:
        raise UsageError(
            f"--to {path}: its name does not tell how to write it",
            remedy=f"Say it with -o, or end the name in one of: {', '.join(f'.{each}' for each in _SUFFIXES)}.",
        )
    return _SUFFIXES[suffix]


def _destination(path: str | None, kind: str) -> Destination | None:
    if path is None:
        if kind in COLUMNS and os.isatty(1):
            raise UsageError(f"-o {kind} is not for a terminal", remedy="Put it into a file: --to FILE.")
        return None
    from skep.base.destination import Destination

    return Destination(path)


class Output:
    """Where the records of a run go: a context manager.

    Args:
        destination: the file; None for standard output.
        tally: of the filter; None without one.
    """

    def __init__(self, destination: Destination | None, tally: Tally | None) -> None:
        self._destination = destination
        self._tally = tally

    @property
    def filtered(self) -> int:
        """How many records came, where the filter has let none of them through; 0 elsewhere."""
        return self._tally.came if self._tally is not None and not self._tally.passed else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._destination is not None:
            self._destination.__exit__(kind, error, traceback)

    def write(self, batch: Batch) -> None:
        """Takes records."""
        if self._tally is not None:
            self._tally.came += batch.count
        self._write(batch)

    def _write(self, batch: Batch) -> None:
        raise NotImplementedError

    def passed(self) -> None:
        """An interval has passed."""
        raise NotImplementedError

    def finish(self, account: Mapping[str, Any]) -> None:
        """The run is over."""
        raise NotImplementedError


class _Text(Output):
    """Records as a view writes them."""

    def __init__(self, view: View, destination: Destination | None, tally: Tally | None) -> None:
        super().__init__(destination, tally)
        self._view = view

    def _put(self, text: str) -> None:
        if self._destination is None:
            if text:
                erase()
            sys.stdout.write(text)
            sys.stdout.flush()
        elif text:
            self._destination.file.write(text.encode("utf-8", "backslashreplace"))
            self._destination.file.flush()
            self._destination.keep = True

    def _write(self, batch: Batch) -> None:
        self._put(self._view.render(batch.schema, batch.values()))

    def passed(self) -> None:
        self._put(self._view.finish())

    def finish(self, account: Mapping[str, Any]) -> None:  # noqa: ARG002 - text has no place for it
        self._put(self._view.finish())
        if self._destination is not None:
            self._destination.commit()


class _Whole(_Text):
    """Records that a view shows all together, once the run is over."""

    def __init__(
        self, view: View, destination: Destination | None, tally: Tally | None, passed: Callable[[], None]
    ) -> None:
        super().__init__(view, destination, tally)
        self._passed = passed

    def passed(self) -> None:
        self._passed()


class _Columns(Output):
    """Records whole, as Arrow or Parquet."""

    def __init__(
        self,
        kind: str,
        destination: Destination | None,
        wanted: str,
        limit: int | None,
        about: tuple[Any, ...],
        tally: Tally | None,
    ) -> None:
        super().__init__(destination, tally)
        names, schemas, told, samples = about
        self._kind = kind
        self._left = limit
        self._names = names
        try:
            from skep.stream.recorder import Recorder
        except ImportError:
            self.__exit__(None, None, None)
            from skep.stream.recording import NO_ARROW

            raise UnsupportedError(f"-o {kind} needs pyarrow and NumPy", remedy=NO_ARROW) from None
        self._filter = None
        self._paths: list[str] = []
        if wanted:
            from skep.view.filter import Filter

            self._filter = Filter(wanted)
            self._paths = [name for name in self._filter.fields if "." in name]
            self._filter.check([self._wide(schema)[0] for _, schema in schemas], names)
        self._journal = self._sink()
        self._recorder = Recorder(self._journal, schemas, names, told, samples)

    def _sink(self) -> BinaryIO:
        if self._destination is not None:
            return self._destination.file
        if self._kind == "arrow":
            return sys.stdout.buffer
        # Parquet is made at the end.
        from tempfile import TemporaryFile

        return TemporaryFile()

    def _wide(self, schema: Schema) -> tuple[Schema, Callable[[Any], Any]]:
        if not self._paths:
            return schema, lambda row: row
        from skep.view.paths import widened

        return widened(schema, self._paths)

    def _write(self, batch: Batch) -> None:
        if self._filter is not None:
            schema, widen = self._wide(batch.schema)
            test = self._filter.test(schema, self._names)
            if test is None:
                return
            batch = batch.select([index for index, row in enumerate(batch.values()) if test(widen(row))])
            if self._tally is not None:
                self._tally.passed += batch.count
        if self._left is not None:
            batch = batch if batch.count <= self._left else batch.part(0, self._left)
            self._left -= batch.count
        self._recorder.write(batch)
        if self._destination is not None and batch.count:
            self._destination.keep = True

    def passed(self) -> None:
        self._recorder.passed()

    def finish(self, account: Mapping[str, Any]) -> None:
        from skep.stream.recorder import to_parquet

        end = self._recorder.finish(account)
        if self._kind == "arrow":
            if self._destination is not None:
                self._destination.commit()
            return
        if self._destination is None:
            to_parquet(self._journal, sys.stdout.buffer, end)
            sys.stdout.buffer.flush()
            return
        with self._destination.second() as made:
            to_parquet(self._journal, made, end)
            self._destination.commit(made)
