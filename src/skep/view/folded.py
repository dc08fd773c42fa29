"""Folded stacks: a line for each, its functions joined by semicolons, outermost first, and what it weighs.

The form that flamegraph.pl, inferno and speedscope read. A semicolon in a name becomes a colon, as their own do it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.view.weights import Weights

__all__ = ["folded"]


def folded(weights: Weights) -> str:
    """The lines, in the order of their names.

    Args:
        weights: of the stacks.
    """
    return "".join(
        [
            f"{';'.join([frame.replace(';', ':') for frame in frames])} {weight}\n"
            for frames, weight in weights.stacks().items()
        ]
    )
