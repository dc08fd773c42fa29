"""libclang, which reads sources: in a process of its own, which a source may end."""

from __future__ import annotations

from skep.base.errors import UnsupportedError
from skep.spec.apart import Apart
from skep.spec.compiler import crash

__all__ = ["Libclang", "load_libclang"]


class Libclang(Apart):
    """A process that loads libclang, which takes as long as to read a source, while we go on."""

    def __init__(self) -> None:
        super().__init__(_prepare, lambda number: crash("libclang", number))


def _prepare() -> None:
    load_libclang()
    import skep.spec.reading  # noqa: F401 - which takes time, too


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
