"""`Watched`: a profile under watch; `Episode`: what happens from the first thing that is wrong until it is quiet."""

from __future__ import annotations

import os
import time
from collections import defaultdict, deque
from contextlib import suppress
from heapq import nlargest

import numpy as np

from skep.guard.grams import last
from skep.guard.identity import build_id
from skep.guard.items import KINDS
from skep.guard.judging import FALSE_ALARMS, Judge
from skep.guard.profile import SETTLED
from skep.guard.state import Log
from skep.guard.store import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

    from skep.guard.live.watcher import Subject
    from skep.guard.profile import Profile

    Array = np.ndarray[Any, Any]

__all__ = ["QUIET", "Episode", "Watched", "expected_alarms", "known_keys", "loud_kinds", "usual"]

# Seconds without anything new after which an episode is over.
QUIET = 10.0
_DAY = 86400.0
# Of what was seen, the members of a set that begin as a new one does: to compare all of them takes seconds.
_COMPARED = 20


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
    return min(false_alarms + (max(fresh, 1) * _DAY / seconds if seconds else 0.0), _DAY / QUIET)


class Watched:
    """One profile, its threads and its episode.

    Args:
        path: of the profile.
        false_alarms: how many a day are acceptable of sequences.
        without: kinds of sets that are not watched.
        force: use it though it has not settled.
        subjects: who is watched by it.
    """

    def __init__(
        self, path: str, false_alarms: float, without: Collection[str], subjects: Sequence[Subject], *, force: bool
    ) -> None:
        self.path = path
        self._subjects = subjects
        self.profile = load(path)
        self.judge = Judge(self.profile, false_alarms=false_alarms, force=force)
        self.log = Log(path)
        # That they are damaged is said now, and not with the first alarm.
        self.log.alarms()
        self.loud = set(loud_kinds(self.profile)) - set(without)
        self.calls = {int(code) for role in self.profile.roles.values() for code in last(role.grams.keys, 1).tolist()}
        # Of each thread the last sequences that were never learned, and the number of the call.
        self.threads: dict[tuple[int, int], deque[tuple[int, int]]] = {}
        self.episode: Episode | None = None
        # Sequences of which an alarm told: what goes on in the same way is no news, and keeps no episode open.
        self.told: set[int] = set()
        # What the kernel had counted when the last episode ended: sequences never learned, and missing reports.
        self.counted = (0, 0)

    def is_rebuilt(self) -> bool:
        """Whether who is watched runs another build than any that was learned from, as after an upgrade."""
        known = self.profile.program.build_ids
        return bool(known) and any(build not in known for build in map(self._build, self._subjects) if build)

    def _build(self, subject: Subject) -> str | None:
        """The build of a program that is to be watched: of a process, of what it runs, if it is that program."""
        path = subject.exe or self.profile.program.path
        with suppress(OSError):
            running = f"/proc/{subject.pid}/exe"
            return build_id(running if os.readlink(running).removesuffix(" (deleted)") == path else path)
        # It is no process, or has ended.
        with suppress(OSError):
            return build_id(path)
        return None


class Episode:
    """What happens from the first thing that is wrong until it has been quiet for a while.

    Args:
        when: it began, by the clock that never jumps.
    """

    def __init__(self, when: float) -> None:
        # It has one once it is told.
        self.name = ""
        self.began = self.last = when
        # For people: whatever the clock of the wall does meanwhile.
        self.date = time.time()
        self.told = False
        self.items: dict[tuple[str, str], int] = defaultdict(int)
        self.sequences: dict[str, list[int]] = defaultdict(list)
        self.processes: dict[int, list[dict[str, Any]]] = {}


def known_keys(profile: Profile) -> Array:
    """The sequences of all its threads, in order."""
    return np.unique(np.concatenate([role.grams.keys for role in profile.roles.values()]))


def usual(profile: Profile, kind: str, value: str) -> str:
    """What is most like it among what was seen, and how often that was."""
    from difflib import get_close_matches

    # Arguments of another call are not what is usual in their place.
    begins = f"{value.partition(' ')[0]} " if kind == "arguments" else ""
    seen = {
        known: item.count
        for role in profile.roles.values()
        for (of, known), item in role.items.items()
        if of == kind and known.startswith(begins)
    }
    if kind == "call" or not seen:
        return ""
    alike = nlargest(_COMPARED, seen, key=lambda known: (_shared(known, value), seen[known]))
    (near,) = get_close_matches(value, alike, 1, 0.0)
    return f"{near} ({seen[near]} times)"


def _shared(left: str, right: str) -> int:
    """With how many characters both begin."""
    return len(os.path.commonprefix((left, right)))  # noqa: RUF071 - of characters, not of folders
