"""What `skep doctor` found, for people and for programs."""

from __future__ import annotations

import json
from textwrap import wrap

from skep.view.formatters import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.kernel.doctor import Report
    from skep.kernel.machine import Finding

__all__ = ["doctor_json", "doctor_text"]

_COLUMNS = 100
_STATES = {"yes": "yes", "no": "no", "untried": "?", "": "-"}


def doctor_text(report: Report) -> str:
    """A table for each section; a remedy stands below what it is for.

    Args:
        report: what was found.
    """
    findings = [finding for found in report.sections.values() for finding in found]
    width = max(len(finding.name) for finding in findings)
    lines = []
    for title, found in report.sections.items():
        lines += [title, *(line for finding in found for line in _lines(finding, width)), ""]
    if any(finding.state == "untried" for finding in findings):
        lines.append("? could not be tried by this user: sudo skep doctor tells, or the capabilities that are named.")
    works = "Every tool of the gallery runs here." if report.works else "Not every tool of the gallery runs here."
    return "".join(f"{line}\n" for line in [*lines, works])


def _lines(finding: Finding, width: int) -> Iterator[str]:
    head = f"  {escape(finding.name):{width}}  {_STATES[finding.state]:3}  "
    texts = [escape(finding.text)] + ([f"-> {escape(finding.remedy)}"] if finding.remedy else [])
    for text in texts:
        for line in wrap(text, _COLUMNS - len(head), break_long_words=False, break_on_hyphens=False) or [""]:
            yield f"{head}{line}".rstrip()
            head = " " * len(head)


def doctor_json(report: Report) -> str:
    """The same, as one JSON object in one line.

    Args:
        report: what was found.
    """
    sections = {
        title: [{name: getattr(finding, name) for name in ("name", "state", "text", "remedy")} for finding in found]
        for title, found in report.sections.items()
    }
    return json.dumps({"works": report.works, "sections": sections}) + "\n"
