"""Errors that the kernel or libbpf has no words of its own for, as a `Diagnostic`: the kind, the line, what to do."""

from __future__ import annotations

import re

from skep.base.errors import (
    AttachError,
    BtfError,
    Diagnostic,
    HookMissingError,
    ObjectFormatError,
    PrivilegeError,
    SkepError,
    UnsupportedError,
    UsageError,
)
from skep.spec.lines import source_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.spec.lines import SourceLine
    from skep.spec.objectspec import ObjectSpec

__all__ = ["KINDS", "at_line", "locate"]

KINDS: tuple[tuple[type[SkepError], str], ...] = (
    (HookMissingError, "hook-missing"),
    (PrivilegeError, "capability"),
    (BtfError, "missing-btf"),
    (UnsupportedError, "unsupported"),
    (AttachError, "attach"),
    (UsageError, "left-open"),
    (SkepError, "load"),
)
"""The ids of diagnostics, by kinds of errors: the first that fits."""


def locate(error: SkepError, spec: ObjectSpec, program: str, *, uses: str = "") -> Diagnostic:
    """Says of an error what it is about. One that has a diagnostic already keeps it.

    Args:
        error: it has the diagnostic from then on.
        spec: the kernel file.
        program: that cannot be loaded or attached; "" where any may be meant.
        uses: the function or variable that it cannot use; "" where it is about the program as a whole.
    """
    if error.diagnostic is None:
        kind = next((name for class_, name in KINDS if isinstance(error, class_)))
        error.diagnostics = (at_line(kind, error.message, error.remedy, _line(spec, program, uses)),)
    return error.diagnostics[0]


def at_line(kind: str, message: str, suggestion: str | None, line: SourceLine | None) -> Diagnostic:
    """A diagnostic of a line of the source.

    Args:
        kind: its id.
        message: what is wrong.
        suggestion: what to do instead.
        line: where; None where that is not known.
    """
    place = {part: getattr(line, part) for part in ("file", "line", "column")} if line is not None else {}
    source = line.text if line is not None else None
    return Diagnostic(kind, "error", message, suggestion=suggestion, source=source, **place)


def _line(spec: ObjectSpec, program: str, uses: str) -> SourceLine | None:
    """The line that uses a function or variable, or the one where a program begins."""
    for name in [program] if program else spec.programs:
        try:
            lines = source_lines(spec.data, spec.name, name)
        except ObjectFormatError:
            return None
        using = (line for line in lines.values() if re.search(rf"\b{re.escape(uses)}\b", line.text))
        # Where a program begins the compiler may have put a function of a header.
        own = (line for line in lines.values() if f"/{line.file}".rpartition("/")[2].startswith(f"{spec.name}."))
        line = next(using, None) if uses else next(own, lines.get(0))
        if line is not None:
            return line
    return None
