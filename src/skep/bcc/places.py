"""Where in the user's text something stands that stands in what the preprocessor has made of it."""

from __future__ import annotations

import os
import re

from skep.base.errors import Diagnostic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.base.errors import SkepError, Span

__all__ = ["ASIDE", "MARKER", "diagnostic", "marker_of", "name_in_markers", "tell_in_own_lines"]

MARKER = re.compile(r'# (\d+) "((?:[^"\\]|\\.)*)"((?: \d)*)\r?')
"""A line of the preprocessor's own: which line of which file comes next, and what kind of file that is."""
ASIDE = "___bcc"
"""Behind names of a text's that are the kernel's, too. CO-RE takes a type for the one that is named before it."""
# What stands for itself between the quotes of such a line.
_STRANGE = re.compile(r"[^ !#-\[\]-~]")


def name_in_markers(file: str) -> str:
    """What lines of the preprocessor's own call a file: signs that it would write otherwise become a ?.

    Args:
        file: its path.
    """
    return _STRANGE.sub("?", file)


def marker_of(file: str) -> str:
    """The line that says that the first line of a file comes next.

    Args:
        file: its path.
    """
    return f'# 1 "{name_in_markers(file)}"\n'


def tell_in_own_lines(error: SkepError, text: str, file: str, folder: str, title: str) -> None:
    """Makes an error tell lines as the user wrote them: what the preprocessor makes of them has other columns.

    Args:
        error: with places in what became of a text.
        text: as it was given.
        file: its path, or what messages call it.
        folder: where the compiler takes it to be.
        title: what the error says before its places.
    """
    named = name_in_markers(file)
    called = {named: named, os.path.normpath(os.path.join(folder, named)): named}
    lines = _own_lines(text, named)
    places: list[Diagnostic | Span] = [*error.diagnostics]
    places += [span for found in error.diagnostics for span in found.path]
    for each in places:
        name = called.get(each.file or "", each.file or "")
        own = lines.get((name, each.line))
        if own is not None and own != each.source:
            each.source, each.column = own, _column(each.column, each.source or "", own)
        if name == named:
            each.file = file
    told = [str(each) for each in error.diagnostics if each.severity == "error"]
    error.message = "\n".join([title, *told]) if told else error.message


def _column(column: int | None, line: str, own: str) -> int | None:
    """Where in a line of the user's a column is; None where more than its indentation was changed."""
    indented, ours = own.lstrip(), line.lstrip()
    return column + len(own) - len(line) if column is not None and indented == ours else None


def _own_lines(text: str, name: str) -> dict[tuple[str, int | None], str]:
    """The lines of a text, by file and number."""
    found: dict[tuple[str, int | None], str] = {}
    number = 1
    for line in text.split("\n"):
        marker = MARKER.fullmatch(line)
        if marker:
            number, name = int(marker[1]), marker[2]
        else:
            found[name, number] = line.rstrip("\r")
            number += 1
    return found


def diagnostic(data: bytes, offset: int, message: str, suggestion: str | None = None) -> Diagnostic:
    """What is wrong, in the user's text.

    Args:
        data: what the preprocessor made of it.
        offset: of the byte there.
        message: what is wrong.
        suggestion: what to write instead.
    """
    begin, end = data.rfind(b"\n", 0, offset) + 1, data.find(b"\n", offset)
    line, file = 1, None
    for each in data[:begin].decode("utf-8", "surrogateescape").split("\n")[:-1]:
        marker = MARKER.fullmatch(each)
        line, file = (int(marker[1]), marker[2]) if marker else (line + 1, file)
    return Diagnostic(
        "compile",
        "error",
        message,
        file=file,
        line=line,
        column=offset - begin + 1,
        source=data[begin : end if end >= 0 else len(data)].decode("utf-8", "replace"),
        suggestion=suggestion,
    )
