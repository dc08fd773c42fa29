"""`Object`: a loaded spec whose events can be read."""

from __future__ import annotations

from skep.kernel.object import Object as KernelObject
from skep.stream.kinds import Kinds
from skep.stream.reader import BATCH, LINGER, Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any
    from weakref import ref

    from skep.kernel.link import Links
    from skep.stream.batch import Batch

__all__ = ["Object"]


class Object(KernelObject):
    """A loaded spec: a context manager that owns its maps and programs. Made by `Spec.load`."""

    # Links that nobody else holds any more are to be detached.
    _links: ref[Links] | None = None

    def attach(self) -> Links:
        """Attaches every program to the hook that its section names; programs of section ``syscall`` run, once.

        Raises:
            UnsupportedError: the kernel lacks a hook.
            AttachError: a hook refuses its program.
        """
        from weakref import ref

        links = super().attach()
        self._links = ref(links)
        return links

    def batches(
        self,
        timeout: float | None = None,
        *,
        size: int = BATCH,
        linger: float = LINGER,
        copy: bool = True,
        merge: bool = False,
    ) -> Iterator[Batch]:
        """The records of all rings, in batches, as they come; then what the attached iterators find, once.

        Records of several types on one ring come as one batch a type, each with the `order` of its records. Where
        nothing but iterators is attached there is nothing to wait for.

        Args:
            timeout: ends the wait for records after so many seconds; None for never.
            size: records that are read together at most.
            linger: seconds to wait for more once there is nothing, before going to sleep. A ring wakes a reader that
                sleeps, at the cost of the traced program; while the reader lingers, nobody pays.
            copy: gives each batch memory of its own. Else it is lent: it holds until the next batch is asked for.
            merge: the perf buffers of all CPUs as one, in the order of time.

        Raises:
            UsageError: a batch of no records is asked for.
            LoadError: a buffer cannot be mapped.
            SkepError: another reader takes records from the same ring.
        """
        return self._batches(timeout, size=size, linger=linger, copy=copy, merge=merge, split=Kinds.groups)

    def _batches(self, timeout: float | None, **options: Any) -> Iterator[Batch]:
        links = self._links() if self._links is not None else None
        with Reader(self, **options) as reader:
            waits = links is None or self.waits(links)
            yield from reader.batches(timeout) if waits else reader.rest()
        if links is not None:
            yield from self.walk(links)

    def events(self, timeout: float | None = None) -> Iterator[Any]:
        """The records of all rings and iterators, one by one, as rows: ``event.comm``.

        Args:
            timeout: ends the wait for records after so many seconds; None for never.
        """
        for batch in self._batches(timeout, split=Kinds.together):
            yield from batch.rows()

    def waits(self, links: Links) -> bool:
        """Whether something may still come of what is attached, by itself.

        Args:
            links: what is attached.
        """
        return any(not self.programs[name].spec.hook.on_demand for name in links)

    def walk(self, links: Links) -> Iterator[Batch]:
        """What the attached iterators find now.

        Args:
            links: what is attached.
        """
        if any(self.programs[name].spec.hook.kind == "iter" for name in links):
            from skep.stream.iterator import read_iterators

            yield from read_iterators(self.spec, links)
