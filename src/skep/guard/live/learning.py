"""Learns a program while it runs: records its calls with the tool `behaviour`, and makes runs of them.

Each run of a command is a run. What runs for long is cut into stretches, each of which is held out once, like a run.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict

from skep.base.errors import UsageError
from skep.guard.behaviour import Run
from skep.guard.grams import ORDER
from skep.guard.reading import read_thread
from skep.kernel.command import open_process
from skep.session.api import compile, find_source  # noqa: A004 - skep.compile
from skep.session.run import Run as Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from skep.guard.behaviour import Trace
    from skep.session.stop import Stop

__all__ = ["executable_of", "find_processes", "record_command", "record_processes"]

# Of each thread that goes on the last calls; None of one that ran before it was recorded.
_Known = dict[int, "list[int] | None"]

# Of what runs for long. One is held out at a time: a tenth says little less of how they differ than a hundredth.
STRETCHES = 10
# Calls that are kept as they came, until they become traces.
_AT_ONCE = 500_000
# Calls that are learned from in one go: more say little that is new, and take memory.
_MOST = 10_000_000


def record_command(
    command: Sequence[str],
    times: int,
    *,
    seconds: float | None = None,
    stdout: int = 1,
    user: tuple[int, int] | None = None,
    stop: Stop | None = None,
) -> list[Run]:
    """Runs a command, and records each of its runs, or the stretches of one that runs for long.

    Args:
        command: the program and its arguments.
        times: how often it is run.
        seconds: for how long it is run; it is ended then, and cut into stretches. None: until it ends.
        stdout: file descriptor that becomes its standard output.
        user: uid and gid that it runs as; None for our own.
        stop: ends it all from outside.

    Raises:
        UsageError: there is no such command.
        PrivilegeError, UnsupportedError, LoadError: as for any run of a kernel file.
    """
    runs: list[Run] = []
    for number in range(1, times + 1):
        if stop is not None and stop.requested:
            break
        session = Session(_spec(), command=command, stdout=stdout, user=user, stop=stop)
        found = list(_record(session, seconds, ()))
        # Of what runs by itself to its end, all is one run.
        if seconds is None:
            found = _joined(found)
        for run in found:
            run.name = f"{command[0]} {number} {run.name}".rstrip()
        runs += found
    return runs


def record_processes(pids: Sequence[int], seconds: float, *, stop: Stop | None = None) -> list[Run]:
    """Records processes that run already, and what they start.

    Args:
        pids: of the processes.
        seconds: for how long.
        stop: ends it from outside.

    Raises:
        UsageError: there is no such process.
        PrivilegeError, UnsupportedError, LoadError: as for any run of a kernel file.
    """
    begun = {int(tid) for pid in pids for tid in _listed(f"/proc/{pid}/task")}
    return list(_record(Session(_spec(), pids=pids, stop=stop), seconds, begun))


def executable_of(pid: int) -> str:
    """The path of what a process runs, as it sees it.

    Raises:
        UsageError: there is no such process, or it is one of the kernel's own.
    """
    os.close(open_process(pid))
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        raise UsageError(
            f"process {pid} runs no executable: it is of the kernel's own, and makes no system calls",
            remedy="A process of a program: -p PID.",
        ) from None


def find_processes(*, exe: str = "", cgroup: str = "") -> list[int]:
    """The processes that run an executable, or are in a cgroup or those in it; never this one, which learns.

    Raises:
        UsageError: there is none, or no such file or cgroup.
    """
    try:
        if exe:
            wanted = os.stat(exe)
            numbers = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
            found = [pid for pid in numbers if _runs(pid, wanted)]
        else:
            os.stat(cgroup)
            files = [f"{folder}/cgroup.procs" for folder, _, _ in os.walk(cgroup)]
            found = sorted({int(line) for path in files for line in _lines(path)})
    except OSError as error:
        raise UsageError(f"{exe or cgroup}: {error.strerror}") from None
    found = [pid for pid in found if pid != os.getpid()]
    if not found:
        raise UsageError(
            f"nothing runs {exe}" if exe else f"no process is in {cgroup}", remedy="Start it, or: -- COMMAND"
        )
    return found


def _runs(pid: int, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/exe"), wanted)
    except OSError:  # of the kernel's own, or gone
        return False


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # gone: who follows it says so
        return []


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().split()
    except OSError:  # a cgroup that is gone
        return []


def _spec() -> Any:
    return compile(find_source("behaviour"))


def _record(session: Session, seconds: float | None, begun: Iterable[int]) -> Iterator[Run]:
    """The stretches of a session.

    Args:
        session: not yet entered.
        seconds: for how long; None until its command ends, all in one.
        begun: threads that run already.
    """
    architecture, known = os.uname().machine, _Known.fromkeys(begun)
    names: list[str] = []
    rows: list[tuple[Any, ...]] = []
    total, number = 0, 1
    with session:
        started = time.monotonic()
        length = None if seconds is None else seconds / STRETCHES
        for batch in session.batches(duration=seconds):
            names = [field.name for field in batch.schema.fields]
            rows += batch.rows()
            # The last one goes on to the end.
            due = length is not None and number < STRETCHES and time.monotonic() - started >= number * length
            if due or len(rows) >= _AT_ONCE:
                yield Run(f"stretch {number}", _traces(names, rows, known, architecture), int(time.time()))
                total, number, rows = total + len(rows), number + 1, []
            if total >= _MOST:
                break
    if rows:
        yield Run(f"stretch {number}", _traces(names, rows, known, architecture), int(time.time()))


def _traces(names: Sequence[str], rows: Sequence[tuple[Any, ...]], known: _Known, architecture: str) -> list[Trace]:
    """The threads of a stretch.

    Args:
        names: of the events' fields.
        rows: the events.
        known: the threads that had begun before, brought up to date.
        architecture: of the calls.
    """
    threads: dict[int, list[tuple[dict[str, Any], int]]] = defaultdict(list)
    for row in rows:
        event = dict(zip(names, row, strict=True))
        thread = event["tid"]
        unseen = thread not in threads and known.get(thread, ()) is None
        threads[thread].append((event, event["lost"] + unseen))
    traces = []
    for thread, events in threads.items():
        trace = read_thread(events, architecture, known.get(thread) or ())
        known[thread] = [*trace.before, *trace.calls[1 - ORDER :].tolist()][1 - ORDER :]
        traces.append(trace)
    return traces


def _joined(stretches: Sequence[Run]) -> list[Run]:
    traces = [trace for run in stretches for trace in run.traces]
    return [Run("", traces, stretches[0].when)] if stretches else []
