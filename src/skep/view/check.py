"""What a kernel says of each program of a file, for people and for programs.

As JSON it is one object a line, one line a kernel, whose keys are always these:

    source    the kernel file
    kernel    the release of the kernel that was asked; of a BTF file, its path
    programs  list: name, section, verdict ("accepted", "refused"; "unsupported": this kernel lacks what it needs;
              "untried": this process may not ask, or something is left open; "fits": the types of a BTF file have
              what it needs),
              of one that is accepted: instructions, states, peak_stack (bytes), time_us,
              lines (list of those that most instructions were walked for: file, line, source, instructions);
              of any other: report (object: id and category, the name of its page; message, file, line, column, source,
              path (list of what led there: file, line, column, source, message), suggestion, details (list)),
              with null for what is not known

A source that does not compile has no programs, and a report of its own beside them.
"""

from __future__ import annotations

import json

from skep.view.diagnostic import diagnostic_lines
from skep.view.formatters import escape
from skep.view.page import section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from skep.base.errors import Diagnostic
    from skep.kernel.checking import Verdict

    # What `describe_check` gives, of this kernel or of another.
    Check = dict[str, Any]

__all__ = ["against_text", "check_json", "check_text", "describe_check", "matrix_text", "report_dict"]

_FIGURES = ("instructions", "states", "peak_stack", "time_us")


def describe_check(source: str, kernel: str, verdicts: Iterable[Verdict]) -> Check:
    """What a kernel says, as plain data.

    Args:
        source: the kernel file.
        kernel: its release.
        verdicts: of its programs.
    """
    return {"source": source, "kernel": kernel, "programs": [_program(verdict) for verdict in verdicts]}


def _program(verdict: Verdict) -> dict[str, Any]:
    known: dict[str, Any] = {"name": verdict.name, "section": verdict.section, "verdict": verdict.word}
    if verdict.report is not None:
        known["report"] = report_dict(verdict.report)
    if verdict.figures is not None:
        figures = verdict.figures
        known |= {
            "instructions": figures.instructions,
            "states": figures.states,
            "peak_stack": figures.peak_stack,
            "time_us": figures.microseconds,
            "lines": [
                {"file": line.file, "line": line.line, "source": line.text.strip(), "instructions": walked}
                for line, walked in figures.lines
            ],
        }
    return known


def report_dict(found: Diagnostic) -> dict[str, Any]:
    """A diagnostic as plain data.

    Args:
        found: what to tell.
    """
    place = ("file", "line", "column", "source", "message")
    return {
        "id": found.id,
        "category": found.id,
        **{name: getattr(found, name) for name in place},
        "path": [{name: getattr(span, name) for name in place} for span in found.path],
        "suggestion": found.suggestion,
        "details": list(found.details),
    }


def check_json(checks: Iterable[Check]) -> str:
    """One line for each kernel.

    Args:
        checks: what each says.
    """
    return "".join(f"{json.dumps(check)}\n" for check in checks)


def check_text(source: str, kernel: str, verdicts: Sequence[Verdict]) -> str:
    """What one kernel says, with the reasons in the source.

    Args:
        source: the kernel file.
        kernel: its release.
        verdicts: of its programs.
    """
    check = describe_check(source, kernel, verdicts)
    lines = section(
        f"{escape(check['source'])} on {check['kernel']}",
        ("PROGRAM", "INSTRUCTIONS", "STATES", "STACK (B)", "TIME (us)", "VERDICT"),
        [
            (program["name"], *(str(program.get(figure, "")) for figure in _FIGURES), _word(program))
            for program in check["programs"]
        ],
    )
    costs = [
        (program["name"], str(line["instructions"]), f"{line['line']}: {line['source']}")
        for program in check["programs"]
        for line in program.get("lines", ())[:1]
    ]
    if costs:
        lines += section("What costs most", ("PROGRAM", "INSTRUCTIONS", "LINE"), costs)
    for verdict in verdicts:
        if verdict.report is not None:
            lines += ["", f"{escape(verdict.name)} ({escape(verdict.section)}): {verdict.word}"]
            lines += [escape(line) for line in diagnostic_lines(verdict.report)]
    return "".join(f"{line}\n" for line in lines[1:])


def _word(program: dict[str, Any]) -> str:
    return f"{program['verdict']}: {program['report']['id']}" if "report" in program else str(program["verdict"])


def against_text(before: Check, after: Check) -> str:
    """What has become of each program, as a table.

    Args:
        before: of the other object.
        after: of this one.
    """
    old = {program["name"]: program for program in before["programs"]}
    new = {program["name"]: program for program in after["programs"]}
    lines = section(
        f"{escape(before['source'])} -> {escape(after['source'])} on {after['kernel']}",
        ("PROGRAM", "INSTRUCTIONS", "STATES", "STACK (B)", "TIME (us)", "VERDICT"),
        [
            (name, *(_change(old.get(name), new.get(name), figure) for figure in _FIGURES), _verdicts(old, new, name))
            for name in old | new
        ],
    )
    return "".join(f"{line}\n" for line in lines[1:])


def _change(old: dict[str, Any] | None, new: dict[str, Any] | None, figure: str) -> str:
    before, after = (program.get(figure) if program else None for program in (old, new))
    if before is None or after is None:
        return str(before if after is None else after) if before != after else ""
    if before == after:
        return str(after)
    percent = f" ({100 * (after - before) / before:+.0f} %)" if before else ""
    return f"{before} -> {after}{percent}"


def _verdicts(old: dict[str, Any], new: dict[str, Any], name: str) -> str:
    before = old[name]["verdict"] if name in old else "not there"
    after = new[name]["verdict"] if name in new else "not there"
    reason = f": {new[name]['report']['message']}" if "report" in new.get(name, ()) else ""
    return (after if before == after else f"{before} -> {after}") + reason


def matrix_text(checks: Sequence[Check]) -> str:
    """What several kernels say: a row a program, a column a kernel; and the reason of each that is not accepted.

    Args:
        checks: what each says of the same file.
    """
    words = [{program["name"]: program for program in check["programs"]} for check in checks]
    lines = section(
        escape(checks[0]["source"]),
        ("PROGRAM", *(check["kernel"] for check in checks)),
        [(name, *(_cell(known[name]) for known in words)) for name in words[0]],
    )
    for name in words[0]:
        said: dict[str, list[str]] = {}
        for check, known in zip(checks, words, strict=True):
            if "report" in known[name]:
                said.setdefault("\n".join(_reason(known[name]["report"])), []).append(check["kernel"])
        for reason, kernels in said.items():
            lines += ["", *f"{escape(name)} on {', '.join(kernels)}: {reason}".splitlines()]
    return "".join(f"{line}\n" for line in lines[1:])


def _reason(report: dict[str, Any]) -> Iterator[str]:
    place = ":".join(str(report[part]) for part in ("file", "line") if report[part] is not None)
    yield f"{place}: {report['message']}" if place else report["message"]
    yield from (f"  {line}" for line in (report["suggestion"] or "").splitlines())


def _cell(program: dict[str, Any]) -> str:
    return _word(program) if "report" in program else f"accepted, {program['instructions']} instructions"
