"""`Object`: a loaded spec whose events can be read."""

from __future__ import annotations

from skep.kernel.object import Object as KernelObject
from skep.stream.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from skep.stream.batch import Batch

__all__ = ["Object"]


class Object(KernelObject):
    """A loaded spec: a context manager that owns its maps and programs. Made by `Spec.load`."""

    def batches(self, timeout: float | None = None) -> Iterator[Batch]:
        """The records of all rings, in batches, as they come.

        Args:
            timeout: ends after so many seconds; None for never.
        """
        with Reader(self) as reader:
            yield from reader.batches(timeout)

    def events(self, timeout: float | None = None) -> Iterator[Any]:
        """The records of all rings, one by one, as rows: ``event.comm``.

        Args:
            timeout: ends after so many seconds; None for never.
        """
        for batch in self.batches(timeout):
            yield from batch.rows()
