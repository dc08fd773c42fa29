"""Finds the names of the functions of stacks as they come: once an address, before records are shown.

The names go into `Names`, which a recording carries along. What a process has mapped is read when it is first seen, and
whenever it is looked at (`Stacks.look`), since it is gone with the process.
"""

from __future__ import annotations

import os
from contextlib import suppress

from skep.stream.places import error_of, in_kernel, places_of, process_of
from skep.stream.symbols.arrivals import Arrivals
from skep.stream.symbols.demangling import demangled
from skep.stream.symbols.files import Files
from skep.stream.symbols.kernel import HIDDEN, KernelSymbols
from skep.stream.symbols.process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from skep.base.schema import Field, Schema
    from skep.stream.batch import Batch
    from skep.stream.names import Names
    from skep.stream.places import Place

__all__ = ["Stacks", "stack_maps"]

# So many processes are remembered at most, and stacks that have names already.
_PROCESSES = 4096
_STACKS = 4096


def stack_maps(schemas: Iterable[Schema], maps: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Which map holds the stacks that fields have the numbers of.

    Args:
        schemas: of the run's records.
        maps: the names of the maps of stacks.

    Returns:
        Field -> map; and what cannot be told, where there are several.
    """
    known = list(maps)
    fields = {field.name for schema in schemas for field in schema.fields if field.is_stack and not field.type.element}
    found, questions = {}, []
    for name in sorted(fields if known else ()):
        # `user_stack_id` is of `user_stacks`.
        alike = [each for each in known if each.partition("_")[0] == name.partition("_")[0]]
        fitting = known if len(known) == 1 else alike
        if len(fitting) == 1:
            found[name] = fitting[0]
        else:
            questions.append(f"{name}: its stacks may be in {' or '.join(known)}; their numbers are shown")
    return found, questions


class Stacks:
    """Finds names, and puts them into `names`. It is to be closed.

    Args:
        names: of the run.
        maps: field -> the map of stacks (`skep.kernel.maps.stack_trace`) that it has the numbers of.
        root: a process that is about to begin, or -1 for all: what it and its children map is known from then on; None
            for none.

    Make it before privileges are dropped: the kernel shows its addresses to whoever had CAP_SYSLOG then.
    """

    def __init__(self, names: Names, maps: Mapping[str, Any], root: int | None = None) -> None:
        self._names = names
        self._maps = maps
        self._kernel = KernelSymbols()
        self._notices: list[str] = []
        self._files = Files(self._notices.append)
        self._processes: dict[int, Process] = {}
        self._asks_kernel = True
        self._arrivals: Arrivals | None = None
        if root is not None:
            # Where the kernel does not let us, /proc is what there is.
            with suppress(OSError):
                self._arrivals = Arrivals(root)
            if root > 0:
                # It has to begin yet: what it has mapped now is ours.
                self._process(root)
        self._seen: set[tuple[str, Any, int | None]] = set()
        # Processes of which there are names; and of which some were found before it executed another program.
        self._named: set[int] = set()
        self._doubted: set[int] = set()

    def close(self) -> None:
        """Closes what is open."""
        self._kernel.close()
        if self._arrivals is not None:
            self._arrivals.close()

    def _arrive(self) -> None:
        """Takes note of what was mapped since."""
        lost = False
        for arrival in self._arrivals.drain() if self._arrivals is not None else ():
            if arrival.pid is None:
                lost = True
            elif arrival.mapped is not None:
                self._seen_process(arrival.pid).map(arrival.mapped)
            elif arrival.parent is not None:
                self._process(arrival.pid).inherit(self._seen_process(arrival.parent))
                self._doubt(arrival.pid)
            else:
                self._process(arrival.pid).executed()
                self._doubt(arrival.pid)
        # It can be read of those that live.
        for process in self._processes.values() if lost else ():
            process.look()

    def _doubt(self, pid: int) -> None:
        """Of a process that is another program by now, names are to be found again: they may have become ambiguous."""
        if pid in self._named:
            self._named.remove(pid)
            self._doubted.add(pid)
            self._seen = {key for key in self._seen if key[2] != pid}

    def look(self, pids: Iterable[int]) -> None:
        """Reads what processes have mapped now.

        Args:
            pids: of the processes.
        """
        self._arrive()
        for pid in pids:
            self._process(pid).look()

    def add(self, batch: Batch) -> list[str]:
        """Finds the names of the functions in some records.

        Args:
            batch: the records.

        Returns:
            What is to be said, each line once a run: of symbols that cannot be read.
        """
        self._arrive()
        fields = batch.schema.fields
        process = process_of(fields)
        for index, field in enumerate(fields):
            if field.is_stack:
                self._add(fields, index, process, batch)
        told = self._notices[:]
        self._notices.clear()
        return told

    def _add(self, fields: tuple[Field, ...], index: int, process: int | None, batch: Batch) -> None:
        field, frames = fields[index], self._names.frames
        places = places_of(fields, index, self._names)
        for row in self._new(batch, index, process).values():
            pid = None if process is None else row[process]
            key = (field.name, row[index], pid)
            if key in self._seen:
                continue
            if len(self._seen) >= _STACKS:
                self._seen.clear()
            self._seen.add(key)
            if pid is not None:
                self._seen_process(pid)
                self._named.add(pid)
            if field.name in self._maps:
                self._fetch(field.name, row[index])
            for place in places(row):
                if place not in frames or place[0] in self._doubted:
                    frames[place] = name = self._name(place, pid)
                    # Where records are put together, nobody tells the process.
                    frames.setdefault((0, place[1]), name)

    def _new(self, batch: Batch, index: int, process: int | None) -> Batch:
        """The records among which those with new stacks are: where these are numbers, without decoding the others."""
        field = batch.schema.fields[index]
        if field.type.element is not None:
            return batch
        numbers = batch.numbers(field)
        pids = [0] * len(numbers) if process is None else batch.numbers(batch.schema.fields[process])
        first = {key: position for position, key in enumerate(zip(numbers, pids, strict=True))}
        return batch.select(sorted(first.values()))

    def _fetch(self, field: str, number: int) -> None:
        if (field, number) not in self._names.stacks and not error_of(number):
            addresses = self._maps[field].get(number)
            if addresses is not None:
                self._names.stacks[field, number] = addresses

    def _name(self, place: Place, pid: int | None) -> str:
        where, address = place
        if isinstance(where, str):
            return self._in_file(where, address, pid)
        if in_kernel(place):
            return self._of_kernel(address)
        return f"[unknown {address:#x}]" if pid is None else self._process(where).function(address)

    def _in_file(self, build_id: str, offset: int, pid: int | None) -> str:
        file, path = self._files.by_build_id(build_id)
        if file is None:
            for process in self._processes.values() if pid is None else (self._seen_process(pid),):
                process.read_files()
            file, path = self._files.by_build_id(build_id)
        name = file.function(offset) if file is not None else None
        return demangled(name) if name else f"[unknown {os.path.basename(path) or build_id}+{offset:#x}]"

    def _of_kernel(self, address: int) -> str:
        name = self._kernel.function(address)
        if name is None and self._asks_kernel and self._kernel.hidden:
            self._notices.append(HIDDEN)
            self._asks_kernel = False
        return name or f"[unknown {address:#x}]"

    def _seen_process(self, pid: int) -> Process:
        """A process that was looked at once, at least: it may have begun before we did."""
        process = self._processes.get(pid)
        if process is None:
            process = self._process(pid)
            process.look()
        return process

    def _process(self, pid: int) -> Process:
        process = self._processes.get(pid)
        if process is None:
            if len(self._processes) >= _PROCESSES:
                # The oldest: what it has mapped is least likely to be asked for.
                del self._processes[next(iter(self._processes))]
            process = self._processes[pid] = Process(pid, self._files)
        return process
