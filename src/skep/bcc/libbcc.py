"""BCC's C library, which skep does not have: whatever a script asks of it is refused, with the reason."""

from __future__ import annotations

from skep.base.errors import UnsupportedError
from skep.bcc.refusing import answer_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["lib"]

# What else scripts ask of the module.
__getattr__ = answer_for("bcc.libbcc", {})


class _Library:
    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedError(
            f"skep has no C library of BCC's, and so no lib.{name}()",
            remedy="What scripts need of it, methods of BPF and of its tables do.",
        )


lib = _Library()
