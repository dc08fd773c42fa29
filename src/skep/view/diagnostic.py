"""A `Diagnostic` as lines of text: where, what, the source with a caret, how it came to be, what to write instead.

not_tested.bpf.c:39:18: `seen` may be NULL here: ... [null-pointer]
39 | seen->packets += 1;
|               ^
how it came to be:
36 | struct stats *seen = bpf_map_lookup_elem(&counts, &key);
bpf_map_lookup_elem() gives NULL when the map has no such key
rule: ...
instead:
...
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.base.errors import Diagnostic

__all__ = ["diagnostic_lines"]


def diagnostic_lines(found: Diagnostic) -> Iterator[str]:
    """The lines.

    Args:
        found: what to show.
    """
    yield f"{found} [{found.id}]"
    if found.source:
        line = found.source.lstrip()
        yield f"{found.line or '':>6} | {line}"
        # The column counts the indentation.
        place = found.column - 1 - (len(found.source) - len(line)) if found.column is not None else -1
        if 0 <= place < len(line):
            yield f"{'':>6} | {' ' * place}^"
    if found.path:
        yield "how it came to be:"
    before = None
    for span in found.path:
        if span.source and span.line != before:
            yield f"{span.line or '':>6} | {span.source.strip()}"
        yield f"{'':>6}   {span.message}"
        before = span.line
    yield from found.details
    if found.suggestion:
        yield "instead:"
        yield from (f"  {line}" for line in found.suggestion.splitlines())
