"""What BCC has, and skep has elsewhere or not at all: found where it is, or refused by its name."""

from __future__ import annotations

from importlib import import_module

from skep.base.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["Refusing", "answer_for"]


def answer_for(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module.

    Args:
        module: what scripts call it: ``bcc.table``.
        homes: the module of skep.bcc in which a name is.
    """

    def answer(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in homes:
            raise UnsupportedError(f"skep has no {name} of {module}")
        return getattr(import_module(f"skep.bcc.{homes[name]}"), name)

    return answer


class Refusing:
    """What scripts ask of such a thing, and is not there, is refused by its name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise UnsupportedError(f"skep has no {type(self).__name__}.{name} of BCC's")
