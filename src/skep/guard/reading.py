"""Reads runs from files: numbers or names of calls, or behaviour events as `skep run` and `skep record` write them.

A text file is one thread of which only the order of calls is known: the form of most published sets. A file of events
has one JSON object a line with the fields of `BEHAVIOUR`; ``syscall`` is required, ``{"lost": N}`` alone marks a hole.
A recording has the same events.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from contextlib import suppress
from functools import cache

import numpy as np

from skep.base.abi.syscalls import syscalls
from skep.base.errors import SourceNotFoundError, UsageError
from skep.base.nearest import nearest
from skep.guard.behaviour import PASSED, UNKNOWN, WAITS, Run, Trace, call_name, encode
from skep.guard.items import items_of
from skep.guard.paths import role_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

__all__ = ["ARCHITECTURES", "read_folder", "read_run", "read_runs", "read_thread"]

ARCHITECTURES = ("x86_64", "i386", "aarch64")
# What the recordings of `skep record` begin with: Parquet, and a stream of Arrow.
_RECORDED = (b"PAR1", b"\xff\xff\xff\xff")
_LONGEST_NUMBER = 10
# No number of the kernel is larger.
_MOST = 1 << 63
_TYPES: dict[str, type] = dict.fromkeys(("syscall", "ts", "tid", "ret", "lost", "depth", "compat"), int)
_TYPES |= dict.fromkeys(("comm", "arguments", "path", "peer", "child"), str)


def read_runs(paths: Iterable[str], architecture: str) -> list[Run]:
    """The runs of files, and of all files below folders, in the order of their names.

    Args:
        paths: files and folders.
        architecture: whose numbers and names the calls are: ``x86_64``, ``i386`` or ``aarch64``.

    Raises:
        UsageError: a path does not exist, or a file is no trace.
    """
    runs = []
    for path in paths:
        if os.path.isdir(path):
            runs += read_folder(path, architecture)
        else:
            runs.append(read_run(path, architecture))
    return runs


def read_folder(folder: str, architecture: str) -> list[Run]:
    """The runs of all files at any depth below a folder, by path.

    Raises:
        UsageError: there is no such folder, or no file in it, or a file is no trace.
    """
    if not os.path.isdir(folder):
        raise SourceNotFoundError(f"{folder}: no such folder", remedy="It takes a folder with one trace in each file.")
    files = sorted(os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
    if not files:
        raise UsageError(f"{folder} holds no files", remedy="It takes a folder with one trace in each file.")
    return [read_run(path, architecture) for path in files]


def read_run(path: str, architecture: str) -> Run:
    """The run that a file holds.

    Raises:
        UsageError: it is neither text nor events, or has a call that the architecture does not have.
        RecordingError: it is a recording of skep, and damaged.
        UnsupportedError: it is one, and pyarrow is not installed.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
            when = int(os.fstat(file.fileno()).st_mtime)
    except FileNotFoundError:
        raise SourceNotFoundError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder") from None
    if data.startswith(_RECORDED):
        return Run(_text(path), _threads(_recorded(path), architecture), when)
    if b"\0" in data:
        raise _no_trace(path)
    if data.lstrip()[:1] == b"{":
        return Run(_text(path), _threads(_written(path, data), architecture), when)
    return Run(_text(path), [_sequence(path, data, architecture)], when)


def _text(given: str) -> str:
    """A name that any file and terminal takes: what is no Unicode in it is escaped."""
    return given.encode("utf-8", "backslashreplace").decode()


def _no_trace(path: str) -> UsageError:
    return UsageError(
        f"{path} is no trace",
        remedy="A trace is text: numbers or names of system calls separated by blanks, or one JSON object a line.",
    )


def _sequence(path: str, data: bytes, architecture: str) -> Trace:
    words = data.split()
    codes = {word: _code(path, word, architecture) for word in set(words)}
    return Trace(np.fromiter(map(codes.__getitem__, words), np.uint64, len(words)))


def _code(path: str, word: bytes, architecture: str) -> int:
    if word.removeprefix(b"-").isdigit():
        # A tracer writes -1, or a number that no kernel has, where it could not tell the call.
        return encode(int(word)) if len(word) <= _LONGEST_NUMBER else UNKNOWN
    if not word.isascii() or not word.replace(b"_", b"").isalnum():
        raise _no_trace(path)
    names = _numbers(architecture)
    name = word.decode()
    if name in names:
        return encode(names[name])
    others = [other for other in ARCHITECTURES if name in _numbers(other)]
    remedy = f"It is one of {others[0]}: --arch {others[0]}" if others else nearest(name, names, "system calls")
    if len(remedy) > 200:
        remedy = "A trace has numbers or names of system calls, separated by blanks."
    raise UsageError(f"{path}: {name} is no system call of {architecture}", remedy=remedy)


@cache
def _numbers(architecture: str) -> dict[str, int]:
    return {name: number for number, name in syscalls(architecture).items()}


def _recorded(path: str) -> Iterator[dict[str, Any]]:
    """The events of a recording."""
    from skep.stream.recording import Recording

    with Recording(path) as recording:
        for batch in recording.batches():
            names = [field.name for field in batch.schema.fields]
            yield from (_event(path, dict(zip(names, row, strict=True))) for row in batch.rows())


def _written(path: str, data: bytes) -> Iterator[dict[str, Any]]:
    """The events of lines of JSON."""
    for number, line in enumerate(data.splitlines(), 1):
        if line.strip():
            event: Any = None
            with suppress(ValueError, RecursionError):
                event = json.loads(line)
            yield _event(f"{path}:{number}", event)


def _threads(events: Iterable[dict[str, Any]], architecture: str) -> list[Trace]:
    threads: dict[int, list[tuple[dict[str, Any], int]]] = defaultdict(list)
    lost = 0
    missing: dict[int, int] = {}
    for event in events:
        if "syscall" not in event:
            lost += event["lost"]
            continue
        # Whose events they were, nobody knows: the hole is in every thread. An event's own `lost` is of its thread.
        thread = event.get("tid", 0)
        threads[thread].append((event, lost - missing.get(thread, 0) + event.get("lost", 0)))
        missing[thread] = lost
    return [read_thread(mine, architecture) for mine in threads.values()]


def _event(place: str, event: Any) -> dict[str, Any]:
    """What is known to be a behaviour event, with texts that any file takes."""
    known = isinstance(event, dict) and ("syscall" in event or "lost" in event)
    if (
        not known
        or not all(_fits(event[name], kind) for name, kind in _TYPES.items() if name in event)
        or (event.get("lost", 0) < 0)
    ):
        raise UsageError(
            f"{place}: no behaviour event",
            remedy='It is an object such as {"tid": 7, "syscall": 257, "path": "/etc/hosts"}; a hole is {"lost": 3}.',
        )
    return {name: _text(value) if isinstance(value, str) else value for name, value in event.items()}


def _event_code(event: dict[str, Any], architecture: str) -> int:
    if event.get("compat") and architecture != "i386":
        # A 32-bit program: what it calls goes by its name. Names of 32-bit arm are not known.
        name = syscalls("i386").get(event["syscall"], "") if architecture == "x86_64" else ""
        return encode(_numbers(architecture).get(name, -1))
    return encode(event["syscall"])


def _fits(value: object, kind: type) -> bool:
    return type(value) is kind and (not isinstance(value, int) or abs(value) < _MOST)


def read_thread(events: list[tuple[dict[str, Any], int]], architecture: str, before: Sequence[int] = ()) -> Trace:
    """The trace of a thread.

    Args:
        events: its events in order, and how many are missing before each.
        architecture: of the calls.
        before: its calls before them, where it goes on from another trace.
    """
    rows: list[dict[str, Any]] = []
    codes: list[int] = []
    holes: list[int] = []
    items: list[tuple[int, str, str]] = []
    last = before[-1] if before else None
    for event, hole in events:
        code = _event_code(event, architecture)
        name = call_name(code, architecture)
        if not hole and (name in PASSED or (name in WAITS and code == last)):
            continue
        items += [(len(codes), kind, value) for kind, value in items_of(event, name)]
        rows.append(event)
        codes.append(code)
        holes.append(hole)
        last = code
    timed = all("ts" in row for row in rows)
    deep = all("depth" in row for row in rows)
    return Trace(
        np.array(codes, np.uint64),
        role_of(events[-1][0].get("comm", "")),
        times=np.array([row["ts"] for row in rows], np.float64) if timed else None,
        lost=np.array(holes, np.float64) if any(holes) else None,
        items=items,
        depth=np.array([row["depth"] for row in rows], np.float64) if deep else None,
        before=before,
    )
