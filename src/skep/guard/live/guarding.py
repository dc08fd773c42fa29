"""`Guard`: watches programs by their profiles, and tells what they never did: one alarm an episode.

Two things raise an alarm. A window of a thread's calls whose never-learned sequences are as rare as an alarm has to be
(`Judge.window`). And a member of a set that was never seen: a file, a change of one, an executable, a peer, a listening
socket, flags, a call that gives power; unless the program was still bringing new ones of that kind when it was learned.

An episode goes on while either comes again. While nothing does, the guard sleeps.
"""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import suppress

from skep.base.errors import ProfileError, UsageError
from skep.guard.behaviour import call_name, encode
from skep.guard.evidence import Evidence
from skep.guard.items import KINDS, POWERS, items_of
from skep.guard.judging import FALSE_ALARMS
from skep.guard.live.lineage import lineage
from skep.guard.live.watched import QUIET, Episode, Watched, expected_alarms, known_keys, usual
from skep.guard.live.watcher import Watcher
from skep.guard.paths import role_of
from skep.guard.report import evidence_data
from skep.guard.voices import WINDOW
from skep.kernel.held import Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Any

    from skep.guard.live.watcher import Subject

__all__ = ["Guard"]

# Seconds in which what belongs to one alarm comes together before it is told.
_GATHERING = 0.3
# Seconds after which the log says again that somebody watches, and after which it looks where paths lead to now, and
# whether anybody is left.
_TOUCHED = 30.0
_LOOKED = 1.0
# Of a hundred calls so many have to end sequences that were never learned. A signal, a reload, a first idle minute
# bring some that are rare and mean nothing. Thirty is the limit of ebpH, too (of 128 calls).
_FEWEST = 30
# Threads of which sequences are remembered, and new members of sets that an alarm holds.
_MOST_THREADS = 4096
_MOST_ITEMS = 50
_MOST_TOLD = 100_000


class Guard(Held):
    """Programs under watch: a context manager. What they do is judged from the moment it is made.

    Args:
        subjects: by path of a profile, who is watched by it, with all that they start.
        false_alarms: how many a day are acceptable of sequences, of each profile.
        without: kinds of sets that are not watched.
        force: use profiles that have not settled.
        quiet: seconds without anything new after which an episode is over.
        btf: path of the kernel's BTF; None for /sys/kernel/btf/vmlinux.

    `lasting` tells whether others may come to be watched: where paths lead to they may, after processes nobody does.
    `gaps` tells by path of a profile until when it was last watched, None if it never was; `rebuilt`, by which profiles
    a build is watched that none was learned from.

    Raises:
        UsageError: a profile has not settled, or is of another architecture, or there is no such kind.
        SourceNotFoundError, ProfileError: there is no such profile, or it is damaged.
        PrivilegeError, UnsupportedError, BtfError, LoadError: as for any object.

    Minimum kernel: 5.12 (task storage in tracing programs). Source: kernel/bpf/bpf_task_storage.c.
    """

    def __init__(
        self,
        subjects: Mapping[str, Sequence[Subject]],
        *,
        false_alarms: float = FALSE_ALARMS,
        without: Collection[str] = (),
        force: bool = False,
        quiet: float = QUIET,
        btf: str | None = None,
    ) -> None:
        if strange := set(without) - set(KINDS):
            raise UsageError(f"there is no kind {min(strange)}", remedy=f"It is one of {', '.join(KINDS)}.")
        self._watched = [Watched(path, false_alarms, without, each, force=force) for path, each in subjects.items()]
        machine = os.uname().machine
        for watched, path in zip(self._watched, subjects, strict=True):
            if watched.profile.architecture != machine:
                raise UsageError(
                    f"{path} is of {watched.profile.architecture}, and this machine is {machine}",
                    remedy="The two number their calls otherwise: learn anew here.",
                )
        _check_apart(subjects)
        self._machine = machine
        self._quiet = quiet
        self._false_alarms = false_alarms
        self.gaps = {path: watched.log.watched_until() for path, watched in zip(subjects, self._watched, strict=True)}
        self.rebuilt = [path for path, watched in zip(subjects, self._watched, strict=True) if watched.is_rebuilt()]
        known = [known_keys(watched.profile) for watched in self._watched]
        whose = [(subject, number) for number, each in enumerate(subjects.values()) for subject in each]
        self._watcher = Watcher(known, whose, btf=btf)
        self._hold()
        self._touched = 0.0
        self.lasting = any(subject.pid is None for subject, _ in whose)

    def _told(self) -> str:
        return "Guard"

    def _release(self) -> None:
        self._watcher.close()

    def wake(self, fd: int) -> None:
        """Lets `alarms` look whether the end has come when a file descriptor becomes readable."""
        self._watcher.watch(fd)

    def alarms(
        self, timeout: float | None = None, ended: Callable[[], bool] = lambda: False
    ) -> Iterator[dict[str, Any]]:
        """Alarms, each once, within a second of what raises them, as data; `skep.guard.telling` has words for them.

        They end, too, when processes were to be watched, and they and all that they started have ended.

        Args:
            timeout: ends after so many seconds; None for never.
            ended: asked from time to time whether the end has come.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not ended() and (end is None or time.monotonic() < end) and (self.lasting or self._watcher.watched()):
            self._touch()
            self._watcher.follow()
            for batch in self._watcher.batches(self._patience(end), ended):
                for report in batch.rows():
                    self._take(report)
                # Something is due soon.
                if any(watched.episode is not None for watched in self._watched):
                    break
            yield from self._due()
        for watched in self._watched:
            if watched.episode is not None and not watched.episode.told:
                yield self._tell(watched, watched.episode)
            self._close(watched)
        self._touch(now=True)

    def _patience(self, end: float | None) -> float:
        """Seconds until something is due."""
        now, busy = time.monotonic(), any(watched.episode is not None for watched in self._watched)
        patience = min(_GATHERING, self._quiet) / 2 if busy else _LOOKED
        return patience if end is None else max(min(patience, end - now), 0.0)

    def _touch(self, *, now: bool = False) -> None:
        if now or time.monotonic() - self._touched >= _TOUCHED or not self._touched:
            self._touched = time.monotonic()
            for watched in self._watched:
                with suppress(OSError):  # a full disk ends no watch
                    watched.log.touch()

    def _take(self, report: Any) -> None:
        """Judges what the kernel reports."""
        watched, call = self._watched[report.profile], report.call
        name = call_name(encode(call.syscall), self._machine)
        items: list[tuple[str, str]] = []
        recent: list[int] = []
        alarming = False
        role = watched.judge.role(role_of(call.comm))
        if report.key in watched.told:
            return
        if report.key:
            # A thread's number comes again.
            seen = watched.threads.setdefault((call.tid, report.born), deque(maxlen=WINDOW))
            seen.append((report.calls, report.key))
            recent = [key for number, key in seen if report.calls - WINDOW < number <= report.calls]
            alarming = len(recent) >= _FEWEST and watched.judge.window(role, recent) >= 0
            if len(watched.threads) > _MOST_THREADS:
                del watched.threads[next(iter(watched.threads))]
        else:
            event = {name: getattr(call, name) for name in ("arguments", "path", "peer", "child")}
            items = [item for item in items_of(event, name) if self._is_new(watched, item)]
            if name in POWERS and encode(call.syscall) not in watched.calls and "call" in watched.loud:
                items.append(("call", name))
        episode = watched.episode
        if items or alarming:
            episode = self._opened(watched, fact=bool(items))
            episode.last = time.monotonic()
            if call.pid not in episode.processes and len(episode.processes) < _MOST_ITEMS:
                episode.processes[call.pid] = lineage(call.pid, call.ppid, call.comm, call.tid, report.born)
        if episode is None:
            return
        for item in items:
            if item in episode.items or len(episode.items) < _MOST_ITEMS:
                episode.items[item] += 1
        if report.key:
            episode.sequences[role] += recent if alarming else [report.key]
            episode.sequences[role] = episode.sequences[role][-WINDOW:]
            if episode.told and len(watched.told) < _MOST_TOLD:
                watched.told.update(episode.sequences[role])

    def _opened(self, watched: Watched, *, fact: bool) -> Episode:
        """The episode that goes on, or a new one."""
        episode = watched.episode
        if fact and episode is not None and episode.told and not episode.items:
            # An unusual order may go on for long: a fact is not to drown in it.
            self._close(watched)
            episode = None
        if episode is None:
            episode = watched.episode = Episode(time.monotonic())
        return episode

    def _is_new(self, watched: Watched, item: tuple[str, str]) -> bool:
        return item[0] in watched.loud and not watched.profile.knows(*item)

    def _due(self) -> Iterator[dict[str, Any]]:
        now = time.monotonic()
        for watched in self._watched:
            episode = watched.episode
            if episode is None:
                continue
            if not episode.told and now - episode.began >= _GATHERING:
                yield self._tell(watched, episode)
            if now - episode.last >= self._quiet and episode.told:
                self._close(watched)

    def _tell(self, watched: Watched, episode: Episode) -> dict[str, Any]:
        episode.told = True
        for keys in episode.sequences.values():
            watched.told.update(keys)
        alarm = self._data(watched, episode)
        # To tell it matters more than to keep it.
        try:
            watched.log.add(alarm)
        except (OSError, ProfileError) as error:
            alarm["unkept"] = str(error.strerror if isinstance(error, OSError) else error)
        episode.name = alarm["alarm"]
        return alarm

    def _close(self, watched: Watched) -> None:
        """Keeps all of an episode, at its end."""
        if watched.episode is not None:
            with suppress(OSError, ProfileError):  # its alarm has said so
                watched.log.add(self._data(watched, watched.episode))
            watched.episode = None
            watched.counted = self._counted(watched)

    def _data(self, watched: Watched, episode: Episode) -> dict[str, Any]:
        (unseen, lost), (unseen_before, lost_before) = self._counted(watched), watched.counted
        unseen, lost = unseen - unseen_before, lost - lost_before
        profile = watched.profile
        evidence = [
            Evidence(kind, value, times, 0, usual(profile, kind, value))
            for (kind, value), times in episode.items.items()
        ]
        for role, keys in episode.sequences.items():
            evidence += watched.judge.explain(role, keys)
        return {
            "alarm": episode.name,
            "profile": watched.path,
            "program": profile.program.path,
            "rebuilt": watched.is_rebuilt(),
            "began": round(episode.date, 3),
            "lasted": round(episode.last - episode.began, 3),
            "evidence": [evidence_data(each) for each in evidence],
            "processes": list(episode.processes.values()),
            "reports_lost": lost,
            # What was seen, of what there was to see.
            "confidence": round((unseen + 1) / (unseen + 1 + lost), 3),
            "false_alarms_a_day": round(expected_alarms(profile, self._false_alarms), 1),
        }

    def _counted(self, watched: Watched) -> tuple[int, int]:
        counts = self._watcher.counts()[self._watched.index(watched)]
        return counts.unseen, sum(counts.untold) + counts.unwatched

    def watched(self) -> int:
        """How many threads are watched now."""
        return self._watcher.watched()

    def counts(self) -> list[Any]:
        """Of each profile what the kernel counts: see `Watcher.counts`."""
        return self._watcher.counts()


def _check_apart(subjects: Mapping[str, Sequence[Subject]]) -> None:
    """Refuses a subject of two profiles: the kernel knows one."""
    taken: dict[tuple[int, int, int], str] = {}
    for path, each in subjects.items():
        for subject in each:
            if taken.setdefault(subject.key, path) != path:
                raise UsageError(
                    f"{taken[subject.key]} and {path} are both to watch {subject}",
                    remedy="Start a watch for each, and say whom: -p PID, --cgroup PATH.",
                )
