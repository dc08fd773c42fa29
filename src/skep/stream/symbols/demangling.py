"""Names as their language writes them: of C++ and Rust, by the package `demangle` (the extra ``skep[symbols]``)."""

from __future__ import annotations

from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["demangled"]

_MANGLED = ("_Z", "_R", "__Z", "__R")
# A name can be written so that undoing it takes for ever.
_LONGEST = 4096


def demangled(name: str) -> str:
    """A name as people write it; as it is where it is mangled in no way that we know, or the package is missing.

    Args:
        name: of a function, as symbols call it.
    """
    if not name.startswith(_MANGLED) or len(name) > _LONGEST:
        return name
    undo = _demangler()
    try:
        return str(undo(name)) if undo is not None else name
    except Exception:  # noqa: BLE001 - the name is a stranger's: whatever it does to the package, it stays what it is
        return name


@lru_cache(maxsize=1)
def _demangler() -> Callable[[str], object] | None:
    try:
        from demangle import demangle
    except ImportError:
        return None
    return demangle
