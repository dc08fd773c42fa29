"""``skep query FILE SQL``: asks a recording in SQL, by DuckDB."""

from __future__ import annotations

import sys

from skep.base.errors import RecordingError, SourceNotFoundError, UnsupportedError, UsageError
from skep.cli.parser import Parser
from skep.view.answer import csv_answer, json_answer, table_answer
from skep.view.formatters import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

__all__ = ["main"]

_EXAMPLES = """\
  skep query ls.parquet "select comm, count(*) from events group by comm"
  skep query ls.parquet "describe events"
"""

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_NUMBERS = {*_INTEGERS, *(f"U{name}" for name in _INTEGERS), "FLOAT", "DOUBLE"}


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    parser = Parser("query", "Asks a recording in SQL; the table is called events.", f"examples:\n{_EXAMPLES}")
    parser.add_argument("file", metavar="FILE", help="a recording, or any Parquet file or Arrow stream")
    parser.add_argument("sql", metavar="SQL", help="what is asked, as DuckDB takes it")
    parser.add_argument(
        "-o", "--output", choices=["table", "json", "csv"], default="table", help="how to show it (default: table)"
    )
    options = parser.parse(arguments)
    try:
        import duckdb
    except ImportError:
        raise UnsupportedError("skep query needs DuckDB", remedy="pip install 'skep[query]'") from None
    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "TimeZone": "UTC"})
    events = _events(connection, options.file)
    own = "* EXCLUDE (_record)" if "_record" in events.columns else "*"
    events.project(own).create_view("events")
    try:
        found = connection.sql(options.sql)
        if found is not None:
            sys.stdout.write(_shown(found, options.output))
    except duckdb.Error as error:
        remedy = "skep query FILE 'describe events' shows the columns."
        raise UsageError(f"DuckDB: {_lines(error)}", remedy=remedy) from None
    return 0


def _events(connection: Any, path: str) -> Any:
    """A file's rows, as a relation of DuckDB's: of an Arrow stream, as far as it was written."""
    import duckdb

    from skep.stream.recording import PARQUET, read_stream

    try:
        with open(path, "rb") as file:
            is_parquet = file.read(len(PARQUET)) == PARQUET
    except OSError as error:
        raise SourceNotFoundError(f"{path} cannot be read: {error.strerror}") from None
    if not is_parquet:
        return connection.from_arrow(read_stream(path))
    try:
        # DuckDB takes * and ? in a path for patterns, unless they stand in brackets.
        return connection.read_parquet("".join(f"[{each}]" if each in "*?[" else each for each in path))
    except duckdb.Error as error:
        raise RecordingError(f"{path} is damaged: {_lines(error)}") from None


def _shown(found: Any, output: str) -> str:
    # What DuckDB says of each type is what its users know.
    if output == "json":
        rows = found.query("found", "SELECT CAST(to_json(found) AS VARCHAR) FROM found").fetchall()
        return json_answer(row[0] for row in rows)
    columns = [(name, str(kind) in _NUMBERS or str(kind).startswith("DECIMAL")) for name, kind in _columns(found)]
    texts = found.project("CAST(COLUMNS(*) AS VARCHAR)").fetchall()
    return (table_answer if output == "table" else csv_answer)(columns, texts)


def _columns(found: Any) -> Iterable[tuple[str, Any]]:
    return zip(found.columns, found.types, strict=True)


def _lines(error: Exception) -> str:
    """What DuckDB says; it may quote the file."""
    return "\n".join(map(escape, str(error).splitlines()))
