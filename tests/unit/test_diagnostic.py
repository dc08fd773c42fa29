"""How a diagnostic is shown."""

from __future__ import annotations

from skep.base.errors import Diagnostic, Span
from skep.view.diagnostic import diagnostic_lines

FOUND = Diagnostic(
    "null-pointer",
    "error",
    "`count` may be NULL here",
    file="x.bpf.c",
    line=18,
    column=10,
    source="\t*count += 1;",
    path=[
        Span("x.bpf.c", 16, 2, "the map has no such key", "\tcount = lookup();"),
        Span("x.bpf.c", 18, 2, "used without a test", "\t*count += 1;"),
    ],
    details=["rule: a rule"],
    suggestion="Test it:\nif (!count)",
)


def test_it_shows_the_line_the_path_and_what_to_write():
    assert list(diagnostic_lines(FOUND)) == [
        "x.bpf.c:18:10: `count` may be NULL here [null-pointer]",
        "    18 | *count += 1;",
        # The tab before the line counts as one column.
        "       |         ^",
        "how it came to be:",
        "    16 | count = lookup();",
        "         the map has no such key",
        "    18 | *count += 1;",
        "         used without a test",
        "rule: a rule",
        "instead:",
        "  Test it:",
        "  if (!count)",
    ]


def test_without_a_place_it_says_what_is_known():
    found = Diagnostic("stack-size", "error", "too much stack", column=9, source="short")

    assert list(diagnostic_lines(found)) == ["9: too much stack [stack-size]", "       | short"]
