"""BCC's C library, which skep does not have: all but one of its functions are refused, with the reason."""

from __future__ import annotations

from skep.base.errors import UnsupportedError
from skep.bcc.refusing import answer_for
from skep.bcc.utils import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from skep.bcc.module import Module

__all__ = ["lib"]

# What else scripts ask of the module.
__getattr__ = answer_for("bcc.libbcc", {})


class _Library:
    @staticmethod
    def bpf_table_fd(module: Module, name: str | bytes) -> int:
        """The file descriptor of a table, of those, too, that Python cannot read; -1 where there is none.

        Args:
            module: `BPF.module`.
            name: of the table.
        """
        found = module.maps.get(as_text(name))
        return -1 if found is None else int(found.fd)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedError(
            f"skep has no C library of BCC's, and so no lib.{name}()",
            remedy="What scripts need of it, methods of BPF and of its tables do.",
        )


lib = _Library()
