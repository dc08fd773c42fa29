"""Where in the user's text something stands that stands in what the preprocessor has made of it."""

from __future__ import annotations

import re

from skep.base.errors import Diagnostic

__all__ = ["MARKER", "diagnostic"]

MARKER = re.compile(r'# (\d+) "([^"]*)".*')
"""A line of the preprocessor's own: which line of which file comes next."""


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
    for each in data[:begin].decode("utf-8", "surrogateescape").splitlines():
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
