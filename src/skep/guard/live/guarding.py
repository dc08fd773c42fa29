"""`Guard`: watches programs by their profiles, and tells what they never did: one alarm an episode.

Two things raise an alarm. A window of a thread's calls whose never-learned sequences are as rare as an alarm has to be
(`Judge.window`). And a member of a set that was never seen: a file, a change of one, an executable, a peer, a listening
socket, flags, a call that gives power; unless the program was still bringing new ones of that kind when it was learned.

An episode goes on while either comes again. While nothing does, the guard sleeps.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict, deque

from skep.base.errors import UsageError
from skep.guard.behaviour import call_name, encode
from skep.guard.evidence import Evidence
from skep.guard.grams import last
from skep.guard.items import KINDS, POWERS, items_of
from skep.guard.judging import FALSE_ALARMS, Judge
from skep.guard.live.lineage import lineage
from skep.guard.live.watcher import Watcher
from skep.guard.paths import role_of
from skep.guard.profile import SETTLED
from skep.guard.report import evidence_data
from skep.guard.state import Log
from skep.guard.store import load
from skep.guard.voices import WINDOW
from skep.kernel.held import Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Any

    from skep.guard.live.watcher import Subject
    from skep.guard.profile import Profile

__all__ = ["Guard", "expected_alarms", "loud_kinds"]

# Seconds in which what belongs to one alarm comes together before it is told.
_GATHERING = 0.3
# Seconds without anything new after which an episode is over.
_QUIET = 10.0
# Seconds after which the log says again that somebody watches.
_TOUCHED = 30.0
# Of a hundred calls so many have to end sequences that were never learned. A signal, a reload, a first idle minute
# bring some that are rare and mean nothing. Thirty is the limit of ebpH, too (of 128 calls).
_FEWEST = 30
# Threads of which sequences are remembered, and new members of sets that an alarm holds.
_MOST_THREADS = 4096
_MOST_ITEMS = 50
_MOST_TOLD = 100_000
_DAY = 86400.0


def loud_kinds(profile: Profile) -> list[str]:
    """The kinds of which a new member is an alarm of its own: in training, the program hardly brought new ones."""
    fresh, seen = profile.fresh_items, {kind for role in profile.roles.values() for kind, _ in role.items}
    return [kind for kind in KINDS if seen and fresh.get(kind, 0) / max(profile.calls, 1) * 1e4 <= SETTLED]


def expected_alarms(profile: Profile, false_alarms: float = FALSE_ALARMS) -> float:
    """The most false alarms a day to be expected: those asked for of sequences, and new members of sets.

    As many new ones as only one of the training runs had are to be expected in as much time as training took; where
    there were none, less than one. An episode ends when it has been quiet: there cannot be more than fit into a day.
    """
    seconds = max((role.seconds for role in profile.roles.values()), default=0.0)
    fresh = sum(profile.fresh_items.get(kind, 0) for kind in loud_kinds(profile))
    return min(false_alarms + (max(fresh, 1) * _DAY / seconds if seconds else 0.0), _DAY / _QUIET)


class _Watched:
    """One profile, its threads and its episode."""

    def __init__(self, path: str, false_alarms: float, without: Collection[str], *, force: bool) -> None:
        self.profile = load(path)
        self.judge = Judge(self.profile, false_alarms=false_alarms, force=force)
        self.log = Log(path)
        self.loud = set(loud_kinds(self.profile)) - set(without)
        self.calls = {int(code) for role in self.profile.roles.values() for code in last(role.grams.keys, 1).tolist()}
        # Of each thread the last sequences that were never learned, and the number of the call.
        self.threads: dict[tuple[int, int], deque[tuple[int, int]]] = {}
        self.episode: _Episode | None = None
        # Sequences of which an alarm told: what goes on in the same way is no news, and keeps no episode open.
        self.told: set[int] = set()
        self.lost = 0


class _Episode:
    """What happens from the first thing that is wrong until it has been quiet for a while."""

    def __init__(self, name: str, when: float) -> None:
        self.name = name
        self.began = self.last = when
        # For people: whatever the clock of the wall does meanwhile.
        self.date = time.time()
        self.told = False
        self.items: dict[tuple[str, str], int] = defaultdict(int)
        self.sequences: dict[str, list[int]] = defaultdict(list)
        self.processes: dict[int, list[dict[str, Any]]] = {}


class Guard(Held):
    """Programs under watch: a context manager. What they do is judged from the moment it is made.

    Args:
        subjects: by path of a profile, who is watched by it, with all that they start.
        false_alarms: how many a day are acceptable of sequences, of each profile.
        without: kinds of sets that are not watched.
        force: use profiles that have not settled.
        quiet: seconds without anything new after which an episode is over.
        btf: path of the kernel's BTF; None for /sys/kernel/btf/vmlinux.

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
        quiet: float = _QUIET,
        btf: str | None = None,
    ) -> None:
        if strange := set(without) - set(KINDS):
            raise UsageError(f"there is no kind {min(strange)}", remedy=f"It is one of {', '.join(KINDS)}.")
        self._watched = [_Watched(path, false_alarms, without, force=force) for path in subjects]
        machine = os.uname().machine
        for watched, path in zip(self._watched, subjects, strict=True):
            if watched.profile.architecture != machine:
                raise UsageError(f"{path} is of {watched.profile.architecture}, and this machine is {machine}")
        self._machine = machine
        self._quiet = quiet
        self._false_alarms = false_alarms
        self.gaps = {path: watched.log.watched_until() for path, watched in zip(subjects, self._watched, strict=True)}
        known = [_known(watched.profile) for watched in self._watched]
        whose = [(subject, number) for number, each in enumerate(subjects.values()) for subject in each]
        self._watcher = Watcher(known, whose, btf=btf)
        self._hold()
        self._touched = 0.0

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

        Args:
            timeout: ends after so many seconds; None for never.
            ended: asked from time to time whether the end has come.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not ended() and (end is None or time.monotonic() < end):
            self._touch()
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
        patience = min(_GATHERING, self._quiet) / 2 if busy else _TOUCHED
        return patience if end is None else max(min(patience, end - now), 0.0)

    def _touch(self, *, now: bool = False) -> None:
        if now or time.monotonic() - self._touched >= _TOUCHED or not self._touched:
            self._touched = time.monotonic()
            for watched in self._watched:
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

    def _opened(self, watched: _Watched, *, fact: bool) -> _Episode:
        """The episode that goes on, or a new one."""
        episode = watched.episode
        if fact and episode is not None and episode.told and not episode.items:
            # An unusual order may go on for long: a fact is not to drown in it.
            self._close(watched)
            episode = None
        if episode is None:
            episode = watched.episode = _Episode(watched.log.next_name(), time.monotonic())
        return episode

    def _is_new(self, watched: _Watched, item: tuple[str, str]) -> bool:
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

    def _tell(self, watched: _Watched, episode: _Episode) -> dict[str, Any]:
        episode.told = True
        for keys in episode.sequences.values():
            watched.told.update(keys)
        alarm = self._data(watched, episode)
        watched.log.add(alarm)
        return alarm

    def _close(self, watched: _Watched) -> None:
        """Keeps all of an episode, at its end."""
        if watched.episode is not None:
            watched.log.add(self._data(watched, watched.episode))
            watched.episode = None

    def _data(self, watched: _Watched, episode: _Episode) -> dict[str, Any]:
        counts = self._watcher.counts()[self._watched.index(watched)]
        lost = sum(counts.untold) + counts.unwatched
        profile = watched.profile
        evidence = [
            Evidence(kind, value, times, 0, _usual(profile, kind, value))
            for (kind, value), times in episode.items.items()
        ]
        for role, keys in episode.sequences.items():
            evidence += watched.judge.explain(role, keys)
        return {
            "alarm": episode.name,
            "program": profile.program.path,
            "began": round(episode.date, 3),
            "lasted": round(episode.last - episode.began, 3),
            "evidence": [evidence_data(each) for each in evidence],
            "processes": list(episode.processes.values()),
            "reports_lost": lost - watched.lost,
            # What was seen, of what there was to see.
            "confidence": round((counts.unseen + 1) / (counts.unseen + 1 + lost), 3),
            "false_alarms_a_day": round(expected_alarms(profile, self._false_alarms), 1),
        }

    def counts(self) -> list[Any]:
        """Of each profile what the kernel counts: see `Watcher.counts`."""
        return self._watcher.counts()


def _known(profile: Profile) -> Any:
    import numpy as np

    return np.unique(np.concatenate([role.grams.keys for role in profile.roles.values()]))


def _usual(profile: Profile, kind: str, value: str) -> str:
    """What is most like it among what was seen, and how often that was."""
    from difflib import get_close_matches

    seen = {
        known: item.count for role in profile.roles.values() for (of, known), item in role.items.items() if of == kind
    }
    if kind == "call" or not seen:
        return ""
    near = get_close_matches(value, seen, 1, 0.0) or [max(seen, key=lambda known: seen[known])]
    return f"{near[0]} ({seen[near[0]]} times)"
