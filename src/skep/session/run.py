"""`Run`: a kernel file from source to typed records, scoped to a command or a process, with an account at the end."""

from __future__ import annotations

import os

from skep.base.meaning import PROCESS
from skep.kernel.command import Command
from skep.kernel.scope import MAP, Tree
from skep.session.loaded import Object
from skep.stream.printk import Printk
from skep.stream.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from skep.base.schema import Field, Schema
    from skep.kernel.link import Links
    from skep.session.api import Spec
    from skep.stream.batch import Batch

__all__ = ["Run", "Stop", "Summary"]

# Set by skep in files that include skep.h (src/skep/spec/include/skep.h).
_SCOPED = "skep_scoped"
_LOST = "skep_lost_count"


class Stop:
    """A wish to end, from a signal handler or another thread; `fd` is readable once it is there. A context manager."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.requested = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self.fd)
        self.fd = -1

    def request(self) -> None:
        """Asks the run to end after a last drain."""
        self.requested = True
        if self.fd >= 0:
            os.eventfd_write(self.fd, 1)


class Summary:
    """The account of a run.

    Args:
        events: records shown, by the source that they came from.
        lost: records that the kernel dropped; None where the kernel file does not count them.
        out_of_scope: records of tasks outside of the tree.
        runs: how often each program ran; None where the kernel does not tell.
        command: the traced command and its exit status (negative: a signal), or None.
        living: processes of the command's tree that have not ended.
        missed: tasks that could not be followed.
    """

    __slots__ = ("command", "events", "living", "lost", "missed", "out_of_scope", "runs")

    def __init__(self) -> None:
        self.events: dict[str, int] = {}
        self.lost: int | None = 0
        self.out_of_scope = 0
        self.runs: dict[str, int] | None = None
        self.command: tuple[str, int] | None = None
        self.living: list[int] = []
        self.missed = 0


class Run:
    """One run: a context manager. Entering it loads and attaches; leaving it takes everything away.

    Args:
        spec: what to run, its variables set.
        command: a command to start and to trace, with all that descends from it.
        pids: running processes to trace, with their threads and later children.
        system: show the events of all tasks nevertheless.
        btf: path of the kernel's BTF; None for /sys/kernel/btf/vmlinux.
        stdout: file descriptor that becomes the command's standard output.
        user: uid and gid that the command runs as; None for our own.
        stop: ends the run from outside; None: nothing does but the command, the duration and the count.

    Raises:
        UsageError: no such command or process.
        ProgramError, UnsupportedError: as `Spec.load` and `Object.attach`.
    """

    def __init__(
        self,
        spec: Spec,
        *,
        command: Sequence[str] = (),
        pids: Sequence[int] = (),
        system: bool = False,
        btf: str | None = None,
        stdout: int = 1,
        user: tuple[int, int] | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.spec = spec
        self._stop = stop
        self.notices: list[str] = []
        self._summary = Summary()
        self._pids = pids
        self._btf = btf
        self._scoped = bool(command or pids) and not system
        self._filtered_in_kernel = self._scoped and MAP in spec.maps and _SCOPED in spec.variables
        self._command = Command(command, stdout=stdout, user=user) if command else None
        self._tree: Tree | None = None
        self._object: Object | None = None
        self._reader: Reader | None = None
        self._printk: Printk | None = None
        self._links: Links | None = None

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def _open(self) -> None:
        maps = {}
        if self._scoped:
            self._tree = Tree(btf=self._btf)
            for pid in (*self._pids, *([self._command.pid] if self._command else [])):
                self._tree.add(pid)
            if self._filtered_in_kernel:
                self.spec.variables[_SCOPED].value = True
                maps[MAP] = self._tree.fd
            self._explain_scope()
        self._object = Object(self.spec, btf=self._btf, maps=maps)
        self._object.enable_statistics()
        self._reader = Reader(self._object)
        if self.spec.prints:
            self._printk = Printk(self.spec.formats)
            self._reader.add(self._printk)
        if self._stop is not None:
            self._reader.watch(self._stop.fd)
        self._links = self._object.attach()
        if self._links.mounted_tracefs:
            self.notices.append("mounted tracefs at /sys/kernel/tracing")
        self.notices += [f"left out: {why}" for why in self._links.left_out.values()]
        if self._command is not None:
            self._reader.watch(self._command.fd)

    def _explain_scope(self) -> None:
        """Says which events cannot be told apart by process."""
        if self._filtered_in_kernel:
            return
        whole = [event.map for event in self.spec.events.values() if _process_field(event.schema) is None]
        if whole:
            self.notices.append(f"the records of {', '.join(whole)} name no process: those of all tasks are shown")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the command, detaches, unloads."""
        for part in (self._command, self._links, self._printk, self._reader, self._object, self._tree):
            if part is not None:
                part.close()
        self._command = self._links = self._printk = self._reader = self._object = self._tree = None

    @property
    def attached(self) -> list[str]:
        """The names of the attached programs."""
        return list(self._links) if self._links is not None else []

    def batches(self, *, duration: float | None = None, count: int | None = None) -> Iterator[Batch]:
        """Starts the command, if there is one, and gives what comes until it ends.

        Args:
            duration: ends after so many seconds.
            count: ends after so many records.
        """
        assert self._reader is not None, "a Run is entered before it is read"
        left = count
        if self._command is not None and not self._stopped:
            self._command.start()
        for whole in self._reader.batches(duration, self._ended):
            batch = self._in_scope(whole)
            if left is not None and batch.count >= left:
                batch = batch.select(range(left))
            self._summary.lost = (self._summary.lost or 0) + batch.lost
            if batch.count:
                self._summary.events[batch.source] = self._summary.events.get(batch.source, 0) + batch.count
                yield batch
            if left is not None:
                left -= batch.count
                if not left:
                    return

    def _ended(self) -> bool:
        return self._stopped or (self._command is not None and self._command.ended())

    @property
    def _stopped(self) -> bool:
        return self._stop is not None and self._stop.requested

    def _in_scope(self, batch: Batch) -> Batch:
        """The records of the tree's tasks; the others are counted."""
        tree, field = self._tree, _process_field(batch.schema)
        if tree is None or field is None or (self._filtered_in_kernel and batch.source != "printk"):
            return batch
        chosen = [index for index, number in enumerate(batch.numbers(field)) if number in tree]
        self._summary.out_of_scope += batch.count - len(chosen)
        return batch if len(chosen) == batch.count else batch.select(chosen)

    def summary(self) -> Summary:
        """The account so far; to be asked before the run is closed."""
        assert self._object is not None, "a Run has an account while it is open"
        summary = self._summary
        counted = self._object.counter(_LOST)
        if counted is not None:
            summary.lost = (summary.lost or 0) + counted
        elif any(self._object.maps[event.map].spec.is_ring for event in self.spec.events.values()):
            summary.lost = None
        if self._object.enable_statistics():
            summary.runs = {name: program.run_count() for name, program in self._object.programs.items()}
        if self._command is not None and self._command.ended():
            summary.command = (self._command.arguments[0], self._command.wait())
        if self._tree is not None:
            summary.living = [pid for pid in self._tree.living() if pid not in self._pids] if self._command else []
            summary.missed = self._tree.missed
        return summary


def _process_field(schema: Schema) -> Field | None:
    """The field that tells whose event it is."""
    for word in PROCESS:
        for field in schema.fields:
            if field.meaning == word and field.bits is None and field.type.kind == "int":
                return field
    return None
