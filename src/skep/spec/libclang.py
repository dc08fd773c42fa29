"""libclang, which reads sources: whether it is there, and whole."""

from __future__ import annotations

from skep.base.errors import UnsupportedError

__all__ = ["load_libclang"]


def load_libclang() -> None:
    """Loads it, which is the only way to know that it is whole.

    Raises:
        UnsupportedError: it is not there, or cannot be loaded.
    """
    try:
        from clang.cindex import Index, LibclangError
    except ImportError as error:
        raise _refused(error) from error
    try:
        Index.create()
    except LibclangError as error:
        raise _refused(error) from error


def _refused(error: Exception) -> UnsupportedError:
    return UnsupportedError(f"libclang cannot be loaded: {error}", remedy="pip install libclang")
