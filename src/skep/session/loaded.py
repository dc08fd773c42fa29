"""`Object`: a loaded spec whose events can be read."""

from __future__ import annotations

from _weakref import ref

from skep.base.errors import UsageError
from skep.kernel.object import Object as KernelObject
from skep.session.streaming import Batches, Events
from skep.stream.kinds import Kinds
from skep.stream.reader import BATCH, LINGER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.kernel.link import Links
    from skep.stream.batch import Batch

__all__ = ["Object"]


class Object(KernelObject):
    """A loaded spec: a context manager that owns its maps and programs. Made by `Spec.load`.

    Minimum kernel: 5.2; tested from 6.1. Source: tools/lib/bpf/libbpf.c (bpf_object__load).
    """

    # Links that nobody else holds any more are to be detached.
    _links: ref[Links] | None = None
    _reading: ref[Batches] | None = None

    def attach(self) -> Links:
        """Attaches every program to the hook that its section names; programs of section ``syscall`` run, once.

        Raises:
            UnsupportedError: the kernel lacks a hook.
            AttachError: a hook refuses its program.
        """
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
    ) -> Batches:
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
            ClosedError: this object is closed; one that is closed meanwhile ends the reading.

        Minimum kernel: 5.8 for ring buffers. Source: kernel/bpf/ringbuf.c.
        """
        self.check()
        options = {"size": size, "linger": linger, "copy": copy, "merge": merge, "split": Kinds.groups}
        return Batches(self, self._attached, timeout, options)

    def events(self, timeout: float | None = None) -> Events:
        """The records of all rings and iterators, one by one, as rows: ``event.comm``. `async for` works, too.

        Args:
            timeout: ends the wait for records after so many seconds; None for never.

        Raises:
            UsageError: when it is iterated: another reading of this object is.
            ClosedError: this object is closed; one that is closed meanwhile ends the reading.

        Minimum kernel: 5.8 for ring buffers. Source: kernel/bpf/ringbuf.c.
        """
        self.check()
        return Events(Batches(self, self._attached, timeout, {"split": Kinds.together}))

    def pin(self, folder: str) -> None:
        """Pins what is attached, and the maps: all of it, or nothing. Programs stay attached until `skep.unpin`.

        Args:
            folder: on a bpffs; it is made if it is not there. It gets ``links/PROGRAM`` and ``maps/NAME``.

        Raises:
            ClosedError: it is closed.
            PinError: something is pinned there already, or a program is attached without a link.
            UnsupportedError: it is not on a bpffs.
            PrivilegeError: it is not permitted.

        Minimum kernel: 5.7; 5.15 for tp, kprobe, uprobe and perf_event. Source: kernel/bpf/inode.c.
        """
        from skep.kernel.pin import pin_all

        links = self._attached
        pin_all(folder, links.lasting() if links is not None else (), self.maps.items())

    @property
    def _attached(self) -> Links | None:
        return self._links() if self._links is not None else None

    def enter(self, reading: Batches) -> None:
        """A reading begins; it is the only one.

        Args:
            reading: of this object.

        Raises:
            UsageError: somebody waits for the records of another one.
        """
        self.check()
        other = self._reading() if self._reading is not None else None
        if other is not None and not other.give_way():
            raise UsageError(
                f"the records of {self.spec.name} are being read already: two readers would take them from each other",
                remedy="Read them in one place. Several threads may iterate over the same events().",
            )
        self._reading = ref(reading)

    def leave(self, reading: Batches) -> None:
        """A reading ends.

        Args:
            reading: of this object.
        """
        if self._reading is not None and self._reading() in {reading, None}:
            self._reading = None

    def close(self) -> None:
        """Ends the reading of its records, and closes its maps and programs; links stay what they are."""
        reading = self._reading() if self._reading is not None else None
        if reading is not None:
            reading.close()
        super().close()

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
