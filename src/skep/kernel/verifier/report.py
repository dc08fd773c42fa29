"""What Linux 7.3 and newer say themselves of a failure, in sections, after what older kernels say.

Source: kernel/bpf/diagnostics.c. The text looks like this, wrapped at 100 columns:

    Verification failed: Register Type Safety: Invalid dereference
    Reason:
      R0 may be NULL here ...
    At:
      hook @ hook.bpf.c:18:9
      Source context: ... ^-- error: invalid dereference
    Causal path:
      ...
    Suggestion:
      ...
"""

from __future__ import annotations

import re

from skep.base.errors import Span
from skep.kernel.verifier.log import REPORT
from skep.spec.lines import SourceLine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Report", "read_report"]

_SECTION = re.compile(r"^(Reason|At|Causal path|Active lock|Suggestion):\n((?:(?:  .*)?\n)*)", re.MULTILINE)
_AT = re.compile(r"^  (?:\S+ @ )?(\S+):(\d+):(\d+)$", re.MULTILINE)
_SOURCE = re.compile(r"^  >>> *\d+ \| (.*)$", re.MULTILINE)
_NOTE = re.compile(r"^ +\| *\^-- (.*(?:\n +\| {2,}(?! *\^--)\S.*)*)", re.MULTILINE)


class Report:
    """The kernel's own explanation.

    Args:
        problem: in two or three words, with the kernel's category before it.
        reason: why, in a sentence or two.
        place: the line that is refused, or None.
        path: what led there.
        suggestion: what to do, or None.
    """

    __slots__ = ("path", "place", "problem", "reason", "suggestion")

    def __init__(
        self, problem: str, reason: str, place: SourceLine | None, path: Sequence[Span], suggestion: str | None
    ) -> None:
        self.problem = problem
        self.reason = reason
        self.place = place
        self.path = path
        self.suggestion = suggestion


def read_report(log: str) -> Report | None:
    """The sections at the end of a log; None where there are none.

    Args:
        log: the whole log.
    """
    _, found, text = log.rpartition(REPORT)
    if not found:
        return None
    problem, _, rest = text.partition("\n")
    sections = {match[1]: match[2] for match in _SECTION.finditer(rest + "\n")}
    at = _events(sections.get("At", ""))
    path = [span for name in ("Active lock", "Causal path") for span in _events(sections.get(name, ""))]
    place = SourceLine(at[0].source or "", at[0].file, at[0].line, at[0].column) if at else None
    return Report(
        problem, _joined(sections.get("Reason", problem)), place, path, _joined(sections.get("Suggestion", "")) or None
    )


def _events(text: str) -> list[Span]:
    """The places that a section shows, with what it says of each."""
    found = []
    places = list(_AT.finditer(text))
    for number, match in enumerate(places):
        part = text[match.end() : places[number + 1].start() if number + 1 < len(places) else len(text)]
        note, source = _NOTE.search(part), _SOURCE.search(part)
        said = _joined(note[1].replace("|", " ")) if note else ""
        found.append(Span(match[1], int(match[2]), int(match[3]), said, source[1].strip() if source else None))
    return found


def _joined(text: str) -> str:
    return " ".join(text.split())
