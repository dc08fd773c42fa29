"""`Run`: a kernel file from source to typed records, scoped to a command or a process, with an account at the end."""

from __future__ import annotations

import os
import signal
import time
from itertools import chain

from skep.base.errors import ProgramError, UsageError
from skep.kernel.command import Command, has_ended, open_process
from skep.kernel.features import mount_tracefs
from skep.kernel.held import Held
from skep.kernel.instances import remove_leftovers
from skep.kernel.privileges import drop
from skep.kernel.scope import Tree
from skep.session.loaded import Object
from skep.session.summary import Summary
from skep.spec.objectspec import NO_PROGRAM, SCOPED, TREE
from skep.spec.targets import Targets
from skep.stream.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Any, Self

    from skep.base.schema import Schema
    from skep.kernel.link import Links
    from skep.session.api import Spec
    from skep.session.stop import Stop
    from skep.spec.fills import Fill
    from skep.stream.batch import Batch
    from skep.stream.names import Names
    from skep.stream.printk import Printk
    from skep.stream.stacks import Stacks

__all__ = ["Run"]

# Where files that include skep.h count what could not be sent (src/skep/spec/include/skep.h).
_LOST = "skep_lost_count"
# Seconds between two looks at what processes have mapped, the first two and later ones.
_FIRST_LOOK, _LOOK = 0.002, 0.2
# The same where all processes are traced.
_WIDE_LOOK = 1.0
# Seconds that a command may take to end by itself after SIGTERM.
_PATIENCE = 10.0


class Run(Held):
    """One run: a context manager. Entering it loads and attaches; leaving it takes everything away.

    Args:
        spec: what to run, its variables set.
        command: a command to start and to trace, with all that descends from it. It ends with the run, at the
            latest with the thread that enters the run: the kernel kills it then.
        pids: running processes to trace, with their threads and later children.
        system: show the events of all tasks nevertheless.
        ignore: processes whose events are not shown.
        btf: path of the kernel's BTF; None for /sys/kernel/btf/vmlinux.
        sizes: entries that maps get instead of what the source says (bytes, for ring buffers), by name.
        wanted: programs that are to be loaded whatever is preferred to them, or though their section starts with a ?.
        without: programs that are not to be loaded.
        targets: what sections leave open, and targets other than theirs.
        fill: what maps hold before the first program runs, as for `Spec.load`.
        pin: a folder of a bpffs in which programs and maps are pinned (`Object.pin`): they outlive the run.
        pin_root: as for `Spec.load`.
        stdout: file descriptor that becomes the command's standard output.
        user: uid and gid that the command runs as; None for our own.
        interval: seconds from one reading of the iterators and tables to the next; None: they are read once, at the
            end, or where there is nothing else to wait for, at once.
        tables: maps to be read, with the layout of their entries, as `skep.stream.tables.table_schemas` gives them.
        stop: ends the run from outside; None: nothing does but the command, the processes, the duration and the count.

    Raises:
        UsageError: no such command or process, or it is to be pinned and scoped to one.
        ProgramError, UnsupportedError: as `Spec.load` and `Object.attach`.

    Minimum kernel: 5.5, to follow a command or a process (tp_btf); tested from 6.1. Source: kernel/fork.c
    (trace_sched_process_fork).
    """

    def __init__(
        self,
        spec: Spec,
        *,
        command: Sequence[str] = (),
        pids: Sequence[int] = (),
        system: bool = False,
        ignore: Sequence[int] = (),
        btf: str | None = None,
        sizes: Mapping[str, int] | None = None,
        wanted: Collection[str] = (),
        without: Collection[str] = (),
        targets: Targets | None = None,
        fill: Fill | None = None,
        pin: str | None = None,
        pin_root: str | None = None,
        stdout: int = 1,
        user: tuple[int, int] | None = None,
        interval: float | None = None,
        tables: Mapping[str, Schema] | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.spec = spec
        self.notices: list[str] = []
        self.tables = tables or {}
        self.not_attached: dict[str, str] = {}
        self._arguments = command
        self._stdout = stdout
        self._user = user
        self._pids = pids
        self._system = system
        self._ignore = set(ignore)
        self._btf = btf
        self._sizes = sizes
        self._wanted_programs = wanted
        self._without = without
        self._hook_targets = targets or Targets()
        self._interval = interval
        self._fill = fill
        self._pin = pin
        self._pin_root = pin_root
        self._stop = stop
        self._events: dict[str, int] = {}
        self._out_of_scope = 0
        self._has_shown_tables = False
        self._seen: dict[str, Any] = {}
        self._command: Command | None = None
        self._targets: list[int] = []
        self._tree: Tree | None = None
        self._object: Object | None = None
        self._reader: Reader | None = None
        self._printk: Printk | None = None
        self._links: Links | None = None
        self._stacks: Stacks | None = None
        self._pause = _FIRST_LOOK

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._release()
            raise
        self._hold()
        return self

    def _open(self) -> None:
        if not self.spec.programs:
            raise ProgramError(f"{self.spec.name} cannot be run: {NO_PROGRAM}")
        if self._pin is not None and (self._arguments or self._pids) and not self._system:
            raise UsageError(
                "what is pinned outlives the run, and nobody follows a command or a process any more",
                remedy="Pin without one, or with --system.",
            )
        if self._arguments:
            # Forked first: its process id has to be known before anything is loaded.
            self._command = Command(self._arguments, stdout=self._stdout, user=self._user)
        self._targets = [open_process(pid) for pid in self._pids]
        tracepoints = any(program.hook.kind == "tp" for program in self.spec.programs.values())
        if tracepoints or self.spec.prints:
            if mount_tracefs():
                self.notices.append("mounted tracefs at /sys/kernel/tracing")
            remove_leftovers()
        roots = [*self._pids, *([self._command.pid] if self._command is not None else [])]
        self._hook_targets = self._hook_targets.in_process(
            root=roots[0] if len(roots) == 1 and not self._system else None,
            process=self._pids[0] if len(self._pids) == 1 else None,
        )
        maps = self._follow(roots) if roots and not self._system else {}
        self._object = self._load(maps)
        self.not_attached = {**self._object.left_out, **self._object.open}
        self._object.enable_statistics()
        self._reader = Reader(self._object)
        if self.spec.prints:
            from skep.stream.printk import Printk

            self._printk = Printk(self.spec.formats)
            self._reader.add(self._printk)
        ends = [part.fd for part in (self._command, self._stop) if part is not None]
        for fd in (*self._targets, *ends):
            self._reader.watch(fd)
        self._links = self._object.attach()
        if self._pin is not None:
            self._object.pin(self._pin)
        self.notices += self._links.notices
        self.not_attached.update(self._links.left_out)
        # What its file says itself is no news.
        self.notices += [
            f"left out: {name}: {why}"
            for name, why in self.not_attached.items()
            if self.spec.programs[name].note.value("link") is not False
        ]
        self.notices += [event.question for event in self.spec.events.values() if event.question]

    def _follow(self, roots: Sequence[int]) -> dict[str, int]:
        """Starts to follow the tree of these processes; the maps that the kernel file shares with the tracker."""
        self._tree = Tree(btf=self._btf)
        for pid in roots:
            self._tree.add(pid)
        programs = self.spec.programs.values()
        asked = any(TREE in program.symbols for program in programs)
        kept = {each.name for each in programs if each.hook.walks_tasks and self._hook_targets.root is not None}
        whole = [
            name
            for name, event in self.spec.events.items()
            if name not in kept and not all(schema.process for schema in event.schemas)
        ]
        if whole and not asked:
            self.notices.append(f"the records of {', '.join(whole)} name no process: those of all tasks are shown")
        if self.tables and not asked:
            self.notices.append(f"{', '.join(self.tables)} may hold what all tasks did, and is shown whole")
        if SCOPED not in self.spec.variables:
            return {}
        return {TREE: self._tree.fd}

    def _load(self, maps: Mapping[str, int]) -> Object:
        """Loads the spec. That it asks for a tree is set for this once: who loads it next may follow nobody.

        Args:
            maps: those that it shares with the tracker.
        """
        if TREE in maps:
            self.spec.variables[SCOPED].value = True
        try:
            self.spec.check_required(self._fill or ())
            return Object(
                self.spec,
                btf=self._btf,
                maps=maps,
                sizes=self._sizes,
                wanted=self._wanted_programs,
                without=self._without,
                targets=self._hook_targets,
                fill=self._fill,
                pin_root=self._pin_root,
            )
        finally:
            if TREE in maps:
                self.spec.variables[SCOPED].value = False

    def _told(self) -> str:
        return f"Run of {self.spec.name}"

    def _release(self) -> None:
        """Ends the command, detaches, unloads."""
        parts = (self._command, self._links, self._printk, self._reader, self._stacks, self._object, self._tree)
        for part in parts:
            if part is not None:
                part.close()
        for fd in self._targets:
            os.close(fd)
        self._command = self._links = self._printk = self._reader = self._stacks = self._object = self._tree = None
        self._targets = []

    def _abandon(self) -> None:
        # In a fork, the command and what is attached are the parent's to end.
        self._command = self._links = self._printk = self._reader = self._stacks = self._object = self._tree = None

    @property
    def attached(self) -> list[str]:
        """The names of the attached programs."""
        return list(self._links) if self._links is not None else []

    def drop_privileges(self, also: Sequence[str] = ()) -> None:
        """Gives up, for the whole process and for good, the capabilities that this run needs no more.

        What stays: to read maps, and what lazy imports and names are read from; what processes have mapped, where their
        stacks are shown; to end the command, which may have become another user; to take filters from interfaces; to
        remove the trace instance.

        Args:
            also: capabilities that are needed for something else.
        """
        keep = ["CAP_BPF", "CAP_DAC_READ_SEARCH", *also]
        if self._stacks is not None:
            keep.append("CAP_SYS_PTRACE")
        if self._command is not None:
            keep.append("CAP_KILL")
        if any(self.spec.programs[name].hook.on_network for name in self.attached):
            keep.append("CAP_NET_ADMIN")
        # Root needs none for what is root's.
        if self._printk is not None and os.geteuid() != 0:
            keep.append("CAP_DAC_OVERRIDE")
        drop(keep)

    def stacks(self, names: Names) -> Stacks | None:
        """What finds the names of functions in stacks; None where no record holds one. To be asked for once.

        Args:
            names: where they go.
        """
        events = (schema for event in self.spec.events.values() for schema in event.schemas)
        schemas = [schema for schema in chain(events, self.tables.values()) if any(f.is_stack for f in schema.fields)]
        if not schemas:
            return None
        from skep.stream.stacks import Stacks, stack_maps

        assert self._object is not None
        maps = {name: table for name, table in self._object.maps.items() if table.kind == "stack_trace"}
        found, questions = stack_maps(schemas, maps)
        self.notices += questions
        root = -1 if self._tree is None else self._command.pid if self._command is not None else None
        self._stacks = Stacks(names, {field: maps[name] for field, name in found.items()}, root)
        return self._stacks

    def batches(
        self,
        *,
        duration: float | None = None,
        count: int | None = None,
        passed: Callable[[], None] = lambda: None,
    ) -> Iterator[Batch]:
        """Starts the command, if there is one, and gives what comes until it or the processes end.

        Whatever ends the run, the command is ended with it: after Ctrl-C it has two seconds to end by itself. What it
        started and left running lives on, and is named in the summary.

        Args:
            duration: ends after so many seconds.
            count: ends after so many records.
            passed: is called after each interval but the last.
        """
        reader = self._reader
        self.check()
        assert reader is not None
        if self._command is not None and not self._stopped:
            self._command.start()
        left = count
        for batch in chain(self._read(reader, duration, passed), self._last_words(reader), self._last_walk()):
            if batch.source in self.tables:
                self._has_shown_tables = True
                yield batch  # an entry is no event
                continue
            shown = batch if left is None or batch.count <= left else batch.select(range(left))
            self._events[shown.source] = self._events.get(shown.source, 0) + shown.count
            yield shown
            left = None if left is None else left - shown.count
            if left == 0:
                break
        if self._command is not None:
            self._command.end()

    @property
    def _waits(self) -> bool:
        """Whether there is more to wait for than iterators, which can be read at any time."""
        assert self._object is not None
        return self._command is not None or (self._links is not None and self._object.waits(self._links))

    def _walk(self) -> Iterator[Batch]:
        """What the iterators find now, and what maps hold."""
        assert self._object is not None
        assert self._links is not None
        return chain(self._shown(self._object.walk(self._links)), self._counted())

    def _counted(self) -> Iterator[Batch]:
        """What maps hold now."""
        if not self.tables:
            return
        from skep.stream.tables import read_table

        assert self._object is not None
        for name, schema in self.tables.items():
            batch = read_table(self._object.maps[name], schema, self._seen)
            if batch.count:
                yield batch

    def _last_walk(self) -> Iterator[Batch]:
        """What the iterators find at the end, where other programs have prepared it until then."""
        return self._walk() if self._waits else iter(())

    def _read(self, reader: Reader, duration: float | None, passed: Callable[[], None]) -> Iterator[Batch]:
        """What comes until the end, as it comes, and what the iterators find meanwhile."""
        end = None if duration is None else time.monotonic() + duration
        if not self._waits:
            yield from self._shown(reader.rest())
            yield from self._walk()
            if self._interval is None:
                return
            passed()
        while True:
            left = [] if end is None else [max(end - time.monotonic(), 0)]
            timeout = min([*left, *([] if self._interval is None else [self._interval])], default=None)
            yield from self._shown(self._waited(reader, timeout))
            if self._interval is None or self._ended() or (end is not None and time.monotonic() >= end):
                return
            yield from self._walk()
            passed()

    def _waited(self, reader: Reader, timeout: float | None) -> Iterator[Batch]:
        """What comes until time is up. Meanwhile processes are looked at whose stacks may have to be told."""
        if self._stacks is None:
            yield from reader.batches(timeout, self._ended)
            return
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            # What a process has mapped changes most at its start.
            pause = self._pause = min(self._pause * 2, _WIDE_LOOK if self._tree is None else _LOOK)
            left = pause if end is None else max(min(end - time.monotonic(), pause), 0)
            yield from reader.batches(left, self._ended)
            self._stacks.look(self._counted_processes() if self._tree is None else self._tree.living())
            if self._ended() or (end is not None and time.monotonic() >= end):
                return

    def _counted_processes(self) -> set[int]:
        """The processes that maps have stacks of, of those maps that reading leaves as they are."""
        from skep.stream.tables import is_taken, read_table

        assert self._object is not None
        found: set[int] = set()
        for name, schema in self.tables.items():
            process, table = schema.process, self._object.maps[name]
            if process is not None and any(field.is_stack for field in schema.fields) and not is_taken(table):
                found.update(read_table(table, schema).numbers(process))
        return found

    def _last_words(self, reader: Reader) -> Iterator[Batch]:
        """Ends the command, and gives what it does on its way out."""
        command = self._command
        if command is None:
            # What was sent while something else was looked at.
            yield from self._shown(reader.rest())
            return
        grace = self._stop.grace if self._stop is not None else 0
        for patience, number in ((grace, signal.SIGTERM), (_PATIENCE, signal.SIGKILL)):
            yield from self._shown(reader.batches(patience, command.ended))
            if not command.ended():
                os.kill(command.pid, number)
        command.wait()
        yield from self._shown(reader.rest())

    def _ended(self) -> bool:
        if self._command is not None:
            return self._stopped or self._command.ended()
        return self._stopped or (bool(self._targets) and all(has_ended(fd) for fd in self._targets))

    @property
    def _stopped(self) -> bool:
        return self._stop is not None and self._stop.requested

    def _shown(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The records of the tree's tasks, without those of the processes left out; the others are counted."""
        for batch in batches:
            field = batch.schema.process
            if field is not None and (self._tree is not None or self._ignore):
                numbers = batch.numbers(field)
                distinct = set(numbers)
                inside = {number for number in distinct if self._wanted(number)}
                shown = batch
                if len(inside) < len(distinct):
                    shown = batch.select([index for index, number in enumerate(numbers) if number in inside])
                    outside = distinct - inside - self._ignore
                    self._out_of_scope += sum(number in outside for number in numbers)
            else:
                shown = batch
            if shown.count:
                yield shown

    def _wanted(self, number: int) -> bool:
        return number not in self._ignore and (self._tree is None or number in self._tree)

    @property
    def _counts_losses(self) -> bool:
        """Whether programs count what found no room in a ring."""
        return _LOST in self.spec.globals and self.spec.counts_losses(_LOST)

    @property
    def lost(self) -> int | None:
        """Records dropped so far; None where neither the kernel nor the kernel file counts them."""
        loaded, reader = self._object, self._reader
        assert loaded is not None, "a Run counts while it is open"
        assert reader is not None
        if self._counts_losses:
            return reader.lost + int(loaded.variables[_LOST].value)
        rings = any(self.spec.maps[name].is_ring for name in self.spec.events if name in self.spec.maps)
        return None if rings else reader.lost

    def summary(self) -> Summary:
        """The account so far; to be asked before the run is closed."""
        loaded, reader, command = self._object, self._reader, self._command
        self.check()
        assert loaded is not None
        assert reader is not None
        living = self._tree.living() if self._tree is not None and command is not None else []
        return Summary(
            events=dict(self._events),
            lost=self.lost,
            out_of_scope=self._out_of_scope,
            runs={name: loaded.programs[name].run_count() for name in self.attached}
            if loaded.enable_statistics()
            else None,
            streams=0 if self._has_shown_tables else len(self.spec.events) + self.spec.prints,
            command=(command.arguments[0], command.wait()) if command is not None and command.ended() else None,
            living=[pid for pid in living if pid not in self._pids],
            missed=self._tree.missed if self._tree is not None else 0,
            not_attached={**self.not_attached, **(self._links.lost() if self._links is not None else {})},
            unheard=reader.unheard,
            unheard_missed=reader.unheard_missed,
        )
