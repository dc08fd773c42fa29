"""The remedy for a name that nothing has."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["nearest"]

_MANY = 100


def nearest(name: str, known: Collection[str], what: str) -> str:
    """The one that is most like it; or all, where they are few enough to be read.

    Args:
        name: as given.
        known: those that there are.
        what: what they are, in the plural.
    """
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1)
    if near:
        return f"Did you mean {near[0]}?"
    if len(known) > _MANY:
        return f"Of the {len(known)} {what}, none is called like it."
    return f"The {what} are: {', '.join(known) or 'none'}."
