"""``skep replay FILE [options]``: shows a recording as if its records came now."""

from __future__ import annotations

import os
import sys

from skep.base.errors import RecordingError
from skep.base.progress import Work
from skep.cli.parser import Parser
from skep.cli.showing import add_options, joined, output_of
from skep.stream.recording import Recording
from skep.view.formatters import escape
from skep.view.summary import summary_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EXAMPLES = """\
  skep replay ls.parquet                              as skep run would have shown it
  skep replay ls.parquet --filter 'ret < 0' -o json
  skep replay ls.parquet --hist latency_ns
  skep replay killed.parquet.part --to whole.parquet  what a run that was killed has left
"""


def main(arguments: Sequence[str]) -> int:
    """Runs the verb."""
    parser = Parser("replay", "Shows a recording as if its records came now.", f"examples:\n{_EXAMPLES}")
    parser.add_argument(
        "file", metavar="FILE", help="a recording, .parquet or .arrow; or the FILE.part of a killed run"
    )
    add_options(parser.add_argument)
    parser.add_argument("--count", action="store_true", help="count the records, all or those of each group")
    parser.add_argument("-q", "--quiet", action="store_true", help="events and errors only")
    options = parser.parse(joined(arguments))
    with Recording(options.file) as recording:
        schemas = [(name, schema) for name, schema in recording.schemas.items()]
        with output_of(
            options, recording.names, schemas, recording.samples, recording.about, count=options.count
        ) as output:
            with Work(f"reading {os.path.basename(options.file)}") as work:
                for batch in recording.batches(passed=output.passed):
                    output.write(batch)
                    work.step(recording.read)
            output.finish(recording.account or {})
        if not options.quiet:
            sys.stderr.writelines(f"skep: {line}\n" for line in _told(recording))
    return 0


def _told(recording: Recording) -> list[str]:
    """The account of the run that was recorded."""
    if recording.account is None:
        return ["the recording has no end: its run was killed, or the file is cut short"]
    try:
        return [escape(line) for line in summary_lines(**recording.account)]
    except (TypeError, ValueError, AttributeError):
        raise RecordingError("the recording's account of its run is damaged") from None
