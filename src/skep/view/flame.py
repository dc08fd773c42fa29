"""Stacks as a flame graph: one page of HTML that needs nothing else, to be opened in any browser, offline.

Each bar is a function, below those that called it, as wide as what it weighs. The page lets one search by name, go into
a bar and back, by mouse or keyboard. Names reach it as data and are written as text: whatever they hold is no HTML.
"""

from __future__ import annotations

from html import escape
from json import dumps

from skep.view.flame_page import PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.view.weights import Weights

__all__ = ["flame"]

# Of the whole: what is thinner is no bar that anybody sees. Where there are few stacks all are shown.
_THINNEST = 1 / 20_000
_FEW = 20_000


class _Bar:
    __slots__ = ("below", "kernel", "weight")

    def __init__(self) -> None:
        self.weight = 0
        self.kernel = False
        self.below: dict[str, _Bar] = {}


def flame(weights: Weights) -> str:
    """The page.

    Args:
        weights: of the stacks.
    """
    root = _Bar()
    count = 0
    for frames, weight in weights.stacks().items():
        bar = root
        bar.weight += weight
        for frame in frames:
            found = bar.below.get(frame)
            if found is None:
                found = bar.below[frame] = _Bar()
                found.kernel = getattr(frame, "is_kernel", False)
                count += 1
            bar = found
            bar.weight += weight
    names: dict[str, int] = {}
    bars = list(_flat(root, names, root.weight * _THINNEST if count > _FEW else 0))
    data = dumps(
        {"unit": weights.unit, "what": weights.what, "names": list(names), "bars": bars}, separators=(",", ":")
    )
    # Within a script nothing but its end, or a comment, has a meaning in HTML.
    data = data.replace("<", "\\u003c")
    return PAGE.replace("{{title}}", escape(f"Flame graph: {weights.what}")).replace("{{data}}", data)


def _flat(root: _Bar, names: dict[str, int], thinnest: float) -> Iterator[int]:
    """All bars, each before those below it, as four numbers: depth, name, weight, whether it is of the kernel."""
    stack = [(0, "all", root)]
    while stack:
        depth, name, bar = stack.pop()
        yield from (depth, names.setdefault(str(name), len(names)), bar.weight, int(bar.kernel))
        below = [(depth + 1, each, found) for each, found in bar.below.items() if found.weight >= thinnest]
        stack += sorted(below, key=lambda entry: entry[1], reverse=True)
