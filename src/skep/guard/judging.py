"""Judges runs by a profile: how rare a run is as a whole, and the episodes in it that are worth an alarm.

The user sets one number, the false alarms a day that are acceptable: each role of threads may raise its share. From how
fast the program was seen to work follows how many windows of a role a day has, and so how rare a window must be. An
episode begins with such a window and ends when the windows have been ordinary for a while: one alarm, however long it
lasts.
"""

from __future__ import annotations

import numpy as np

from skep.base.errors import UsageError
from skep.guard.evidence import Evidence, gather
from skep.guard.grams import pack
from skep.guard.profile import SETTLED, Profile, Role
from skep.guard.sequence import Sequences
from skep.guard.voices import RUN_VOICES, STEP, WINDOW, WINDOW_VOICES, Windows, run_voices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from skep.guard.behaviour import Run, Trace

    Array = np.ndarray[Any, Any]

__all__ = ["FALSE_ALARMS", "Alarm", "Judge", "Verdict"]

# A day, if the user says nothing.
FALSE_ALARMS = 1.0
_DAY = 86400.0
# Calls a second of a program that was recorded without times.
_UNTIMED = 100.0
# However slow a program is, a window that one in twenty equals is no alarm.
_LEAST_RARITY = -np.log(0.05)
# An episode goes on while windows are at most so much less rare (a factor ten in probability), and over a gap of so
# many.
_CALMER = np.log(10)
_GAP = 3


class Alarm:
    """One episode.

    Args:
        role: of the thread.
        thread: which of the run's threads, from 0.
        first: its first call, from 0.
        end: the call behind its last.
        rarity: -log p of its rarest window.
        voices: -log p of each voice there.
        lost: how many events are missing in it. What was seen counts for less, by their share.
        evidence: what was unusual, the rarest first.
    """

    __slots__ = ("end", "evidence", "first", "lost", "rarity", "role", "thread", "voices")

    def __init__(
        self,
        role: str,
        thread: int,
        first: int,
        end: int,
        rarity: float,
        voices: dict[str, float],
        lost: int,
        evidence: Sequence[Evidence],
    ) -> None:
        self.role = role
        self.thread = thread
        self.first = first
        self.end = end
        self.rarity = rarity
        self.voices = voices
        self.lost = lost
        self.evidence = tuple(evidence)


class Verdict:
    """What a profile says of a run.

    Args:
        run: which.
        rarity: -log of the probability that a normal run is at least as unusual.
        voices: -log p of each voice.
        nearest: the name of the training run with the most similar mix of calls.
        alarms: its episodes.
    """

    __slots__ = ("alarms", "nearest", "rarity", "run", "voices")

    def __init__(
        self, run: Run, rarity: float, voices: dict[str, float], nearest: str, alarms: Sequence[Alarm]
    ) -> None:
        self.run = run
        self.rarity = rarity
        self.voices = voices
        self.nearest = nearest
        self.alarms = tuple(alarms)

    @property
    def probability(self) -> float:
        """That a normal run is at least as unusual."""
        return float(np.exp(-self.rarity))


class Judge:
    """A profile, ready to judge.

    Args:
        profile: which.
        false_alarms: how many a day are acceptable.
        force: use it though it has not settled.

    Raises:
        UsageError: the profile has not settled, or no false alarms at all are asked for.
    """

    def __init__(self, profile: Profile, *, false_alarms: float = FALSE_ALARMS, force: bool = False) -> None:
        if not profile.settled and not force:
            raise UsageError(
                f"the profile has not settled: {profile.unsettled:.1f} new pairs of calls in 10,000 calls are to be "
                f"expected ({SETTLED:.0f} at most), from {profile.runs.fused.total:.0f} runs",
                remedy="Learn from more runs and merge, or use it as it is: --force",
            )
        if not 0 < false_alarms < np.inf:
            raise UsageError("false alarms a day are a number above 0")
        self.profile = profile
        self._models = {name: Sequences(role.grams) for name, role in profile.roles.items()}
        self._largest = max(profile.roles, key=lambda name: profile.roles[name].grams.calls)
        share = false_alarms / len(profile.roles)
        self._alarming = {name: _alarming(role, share) for name, role in profile.roles.items()}

    def judge(self, run: Run) -> Verdict:
        """What the profile says of a run; a run without calls is as ordinary as can be."""
        calls, windows, alarms = [], [], []
        # An item is new once in a run, whichever thread of a role brings it: as when it is learned.
        told: dict[str, set[tuple[str, str]]] = {name: set() for name in self.profile.roles}
        for number, trace in enumerate(run.traces):
            if len(trace.calls):
                known = self.role(trace.role)
                of_calls, of_windows, found = self._thread(number, trace, known, told[known])
                calls.append(of_calls)
                windows.append(of_windows)
                alarms += found
        distance, nearest = self.profile.mixes.nearest(run)
        if not calls:
            return Verdict(run, 0.0, dict.fromkeys(RUN_VOICES, 0.0), nearest, ())
        scores = [np.concatenate(columns) for columns in zip(*calls, strict=True)]
        of_windows = np.concatenate(windows)
        mine = [np.zeros(len(columns), np.int64) for columns in (scores[0], of_windows)]
        voices = run_voices(1, [mine[0], *scores], [mine[1], of_windows])
        rare = self.profile.runs.rarities(np.column_stack((voices, [distance])))
        by_voice = dict(zip(RUN_VOICES, rare[0].tolist(), strict=True))
        # With events lost, what was seen says less.
        kept = run.calls / (run.calls + run.lost)
        return Verdict(run, float(self.profile.runs.rarity(rare)[0]) * kept, by_voice, nearest, alarms)

    def role(self, name: str) -> str:
        """The role by which a thread is judged: its own, or where that was not learned, the busiest one."""
        return name if name in self.profile.roles else self._largest

    def window(self, role: str, unseen: Sequence[int]) -> float:
        """How rare a window is of which only that is known which was never learned.

        Args:
            role: of the thread, one that was learned.
            unseen: the keys of the calls whose sequences were never learned; the others are as surprising as usual.

        Returns:
            By how much its -log p exceeds that of an alarm: 0 or more is one.
        """
        model, learned = self._models[role], self.profile.roles[role]
        surprise, novelty = model.judge(np.array(unseen, np.uint64))
        usual = model.usual_surprise * (1 - len(unseen) / WINDOW)
        voices = np.full((1, len(WINDOW_VOICES)), np.nan)
        voices[0, :3] = surprise.sum() / WINDOW + usual, novelty.sum() / WINDOW, 0
        rarity = learned.windows.rarity(learned.windows.rarities(voices))
        return float(rarity[0]) - self._alarming[role]

    def explain(self, role: str, unseen: Sequence[int]) -> list[Evidence]:
        """What is unusual about the calls of these keys."""
        model, keys = self._models[role], np.array(unseen, np.uint64)
        return gather(model, keys, model.judge(keys)[0], [], self.profile.architecture)

    def _thread(
        self, number: int, trace: Trace, known: str, told: set[tuple[str, str]]
    ) -> tuple[tuple[Array, ...], Array, list[Alarm]]:
        role, model = self.profile.roles[known], self._models[known]
        keys, whole = pack([trace])
        surprise, novelty = model.judge(keys)
        surprise[~whole] = novelty[~whole] = 0
        items = _new_items(role, trace)
        firsts = {(kind, value): place for place, kind, value in reversed(items) if (kind, value) not in told}
        told.update(firsts)
        fresh = np.bincount(np.array([*firsts.values()], np.int64), minlength=len(keys)).astype(np.float64)
        windows = Windows([trace])
        voices = windows.voices(surprise, novelty, fresh)
        rare = role.windows.rarities(voices)
        lost = windows.lost()
        rarity = role.windows.rarity(rare) * (windows.end - windows.first) / (windows.end - windows.first + lost)
        alarms = []
        for opened, closed in _episodes(rarity, self._alarming[known]):
            first, end = int(windows.first[opened]), int(windows.end[closed - 1])
            worst = opened + int(rarity[opened:closed].argmax())
            alarms.append(
                Alarm(
                    trace.role,
                    number,
                    first,
                    end,
                    float(rarity[worst]),
                    dict(zip(WINDOW_VOICES, rare[worst].tolist(), strict=True)),
                    0 if trace.lost is None else int(trace.lost[first:end].sum()),
                    gather(
                        model,
                        keys[first:end],
                        surprise[first:end],
                        [(kind, value) for place, kind, value in items if first <= place < end],
                        self.profile.architecture,
                    ),
                )
            )
        return (whole.astype(np.float64), surprise, novelty), voices, alarms


def _alarming(role: Role, false_alarms: float) -> float:
    """How rare a window must be so that the threads of a role raise as many false alarms a day."""
    a_second = role.grams.calls / role.seconds if role.seconds else _UNTIMED
    windows = a_second * _DAY / STEP
    return max(float(np.log(windows / false_alarms)), float(_LEAST_RARITY))


def _new_items(role: Role, trace: Trace) -> list[tuple[int, str, str]]:
    """The items that were never seen; none where no items were recorded in training."""
    return [(place, kind, value) for place, kind, value in trace.items if role.items and not role.knows(kind, value)]


def _episodes(rarity: Array, alarming: float) -> list[tuple[int, int]]:
    """First window and the one behind the last of each episode."""
    found: list[tuple[int, int]] = []
    for opening in np.flatnonzero(rarity >= alarming).tolist():
        if found and opening < found[-1][1]:
            continue
        end, quiet = opening + 1, 0
        for window in range(opening + 1, len(rarity)):
            quiet = 0 if rarity[window] >= alarming - _CALMER else quiet + 1
            if quiet > _GAP:
                break
            if not quiet:
                end = window + 1
        found.append((opening, end))
    return found
