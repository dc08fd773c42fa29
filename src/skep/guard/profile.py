"""`Profile`: what was learned of one program, thread role by thread role, and how its own runs look when held out.

Everything in it is a count or a distribution of held-out scores, so that two profiles merge by adding up. A merged
profile keeps the scores of both: each was held out against less than is known now, so that they err towards fewer
alarms.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from skep.base.errors import UsageError
from skep.guard.grams import Grams, pack, pairs, sum_by_key
from skep.guard.mix import Mixes
from skep.guard.sequence import held_out
from skep.guard.voices import RUN_VOICES, WINDOW_VOICES, Calibration, Windows, run_voices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from skep.guard.behaviour import Run, Trace

    Array = np.ndarray[Any, Any]

__all__ = ["SETTLED", "Item", "Profile", "Program", "Role", "item_key", "learn"]

# New pairs of calls to be expected of ten thousand more calls: at most so many, and the program is known.
SETTLED = 20.0
# Runs fewer than this say nothing of how runs differ.
_FEWEST_RUNS = 5
# A folder in which more names were seen is known as a whole.
_MOST_NAMES = 64


class Program:
    """Whose behaviour a profile is.

    Args:
        path: of the executable, or a name; "" where it is not said.
        build_ids: of the builds that were learned from.
        cgroup: in which it runs; "" for any.
    """

    __slots__ = ("build_ids", "cgroup", "path")

    def __init__(self, path: str = "", build_ids: Sequence[str] = (), cgroup: str = "") -> None:
        self.path = path
        self.build_ids = tuple(sorted(set(build_ids)))
        self.cgroup = cgroup


class Item:
    """One member of a set: a path, a whole folder, a peer, a child, a call's result or class of arguments.

    Args:
        count: how often it was seen.
        runs: in how many runs.
        first: when the first of these was recorded, in seconds since 1970.
        last: when the last was.
    """

    __slots__ = ("count", "first", "last", "runs")

    def __init__(self, count: int, runs: int, first: int, last: int) -> None:
        self.count = count
        self.runs = runs
        self.first = first
        self.last = last

    def __add__(self, other: Item) -> Item:
        first, last = min(self.first, other.first), max(self.last, other.last)
        return Item(self.count + other.count, self.runs + other.runs, first, last)


Items = dict[tuple[str, str], Item]


class Role:
    """What threads of one role do.

    Args:
        grams: the sequences of their calls.
        items: the sets, by kind and value.
        windows: the voices of held-out windows.
        seconds: how long the runs took from which they are; 0 where events have no times.
    """

    __slots__ = ("grams", "items", "seconds", "windows")

    def __init__(self, grams: Grams, items: Items, windows: Calibration, seconds: float) -> None:
        self.grams = grams
        self.items = items
        self.windows = windows
        self.seconds = seconds

    def knows(self, kind: str, value: str) -> bool:
        """Whether an item, or its whole folder, was seen."""
        return (kind, value) in self.items or item_key(kind, value) in self.items

    def __add__(self, other: Role) -> Role:
        items = dict(self.items)
        for key, item in other.items.items():
            items[key] = items[key] + item if key in items else item
        return Role(
            self.grams + other.grams, _by_folder(items), self.windows + other.windows, self.seconds + other.seconds
        )


class Profile:
    """One program's behaviour.

    Args:
        program: whose.
        architecture: of its system calls.
        roles: by name; a program without threads has one, "".
        runs: the voices of held-out runs.
        mixes: how often each run made each call.
    """

    __slots__ = ("architecture", "mixes", "program", "roles", "runs")

    def __init__(
        self, program: Program, architecture: str, roles: Mapping[str, Role], runs: Calibration, mixes: Mixes
    ) -> None:
        self.program = program
        self.architecture = architecture
        self.roles = dict(roles)
        self.runs = runs
        self.mixes = mixes

    @property
    def calls(self) -> int:
        """From how many calls it was learned."""
        return sum(role.grams.calls for role in self.roles.values())

    @property
    def unsettled(self) -> float:
        """How much new behaviour ten thousand more calls would bring: pairs of neighbouring calls never seen before.

        What only one of the runs had is what each of them brings anew (the jackknife estimate of unseen kinds).
        """
        return sum(role.grams.fresh for role in self.roles.values()) / max(self.calls, 1) * 1e4

    @property
    def settled(self) -> bool:
        """Whether it can be used: little new is to be expected, and enough runs say how runs differ."""
        return self.unsettled <= SETTLED and self.runs.fused.total >= _FEWEST_RUNS

    def knows(self, kind: str, value: str) -> bool:
        """Whether threads of any role were seen with an item."""
        return any(role.knows(kind, value) for role in self.roles.values())

    @property
    def fresh_items(self) -> dict[str, int]:
        """Of each kind how many items only one of the runs had: as much again has as many new ones."""
        found: dict[str, int] = defaultdict(int)
        for role in self.roles.values():
            for (kind, _), item in role.items.items():
                found[kind] += item.runs == 1
        return found

    def check_same(self, program: Program, architecture: str) -> None:
        """Refuses what cannot be added to it.

        Raises:
            UsageError: that is of another program.
        """
        for what, mine, theirs in (
            ("architecture", self.architecture, architecture),
            ("program", self.program.path, program.path),
            ("cgroup", self.program.cgroup, program.cgroup),
        ):
            if mine != theirs:
                raise UsageError(
                    f"the profiles differ in their {what}: {mine or 'none'} and {theirs or 'none'}",
                    remedy="One program's add up: learn the other under a name of its own.",
                )

    def __add__(self, other: Profile) -> Profile:
        self.check_same(other.program, other.architecture)
        program = Program(self.program.path, self.program.build_ids + other.program.build_ids, self.program.cgroup)
        roles = dict(self.roles)
        for name, role in other.roles.items():
            roles[name] = roles[name] + role if name in roles else role
        return Profile(program, self.architecture, roles, self.runs + other.runs, self.mixes + other.mixes)


def learn(runs: Sequence[Run], architecture: str, program: Program | None = None) -> Profile:
    """Learns a program from its runs.

    Args:
        runs: at least two, since each is held out once to see how much runs differ.
        architecture: of their system calls.
        program: whose they are.

    Raises:
        UsageError: fewer than two of the runs have any call.
    """
    runs = [run for run in runs if run.calls]
    if len(runs) < 2:
        raise UsageError(
            f"learning takes two runs at least, and {len(runs) or 'none'} of these has any calls",
            remedy="Each run is held out once, to learn how much runs differ. Record more, each into its own file.",
        )
    by_role: dict[str, list[tuple[int, Trace]]] = defaultdict(list)
    for number, run in enumerate(runs):
        for trace in run.traces:
            by_role[trace.role].append((number, trace))
    roles, calls, windows = {}, [], []
    for name, traces in sorted(by_role.items()):
        role, mine, of_windows = _learn_role(traces, runs)
        # Of threads of which there are only fragments between lost events, nothing is learned.
        if role.grams.calls:
            roles[name] = role
        calls.append(mine)
        windows.append(of_windows)
    if not roles:
        raise UsageError("too many events are missing: no sequence of calls is whole", remedy="Record anew.")
    mixes = Mixes.of(runs)
    voices = run_voices(len(runs), _joined(calls), _joined(windows))
    calibration = Calibration.of(np.column_stack((voices, mixes.apart())), RUN_VOICES.values(), leads=True)
    return Profile(program or Program(), architecture, roles, calibration, mixes.thinned())


def _joined(rows: Sequence[tuple[Array, ...]]) -> list[Array]:
    """Of each column, the parts one behind the other."""
    return [np.concatenate(columns) for columns in zip(*rows, strict=True)]


def _learn_role(
    traces: Sequence[tuple[int, Trace]], runs: Sequence[Run]
) -> tuple[Role, tuple[Array, ...], tuple[Array, Array]]:
    """One role; and of its different calls the run, number, surprise and novelty, of its windows the run and voices."""
    number = len(runs)
    only = [trace for _, trace in traces]
    owner = np.repeat([run for run, _ in traces], [len(trace.calls) for trace in only])
    keys, whole = pack(only)
    # Each run's different sequences: what comes often is judged once.
    known, place = np.unique(keys, return_inverse=True)
    entries, entry = np.unique(place * number + owner, return_inverse=True)
    counts = np.bincount(entry, whole, len(entries))
    of, run = known[entries // number], entries % number
    learned = counts > 0
    surprise, novelty = np.zeros((2, len(entries)))
    surprise[learned], novelty[learned] = held_out(of[learned], run[learned], counts[learned], number)

    items, fresh = _learn_items(traces, runs, len(keys))
    windows = Windows(only)
    voices = windows.voices(np.where(whole, surprise[entry], 0), np.where(whole, novelty[entry], 0), fresh)
    calibration = Calibration.of(voices, WINDOW_VOICES.values(), leads=False)
    neighbours = np.unique(pairs(of[learned], 1) * number + run[learned]) // number
    grams = Grams(*sum_by_key(of[learned], counts[learned]), *sum_by_key(neighbours, np.ones(len(neighbours))))
    owners = np.array([run for run, _ in traces])
    return (
        Role(grams, items, calibration, sum(map(_seconds, runs))),
        (run, counts, surprise, novelty),
        (owners[windows.owner], voices),
    )


def _seconds(run: Run) -> float:
    """From the first call of a run's threads to the last; 0 where times are not known."""
    times = [trace.times for trace in run.traces if trace.times is not None and len(trace.times)]
    return float(max(each[-1] for each in times) - min(each[0] for each in times)) / 1e9 if times else 0.0


def _learn_items(traces: Sequence[tuple[int, Trace]], runs: Sequence[Run], length: int) -> tuple[Items, Array]:
    """The sets, and for each call how many items it brought that no other run has."""
    found: dict[tuple[str, str], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    firsts: dict[tuple[int, str, str], int] = {}
    start = 0
    for number, trace in traces:
        for position, kind, value in trace.items:
            found[kind, value][number] += 1
            firsts.setdefault((number, kind, value), start + position)
        start += len(trace.calls)
    items = _by_folder(
        {
            key: Item(
                sum(times.values()), len(times), min(runs[n].when for n in times), max(runs[n].when for n in times)
            )
            for key, times in found.items()
        }
    )
    fresh = np.zeros(length)
    for (_, kind, value), place in firsts.items():
        if items.get((kind, value), items.get(item_key(kind, value))).runs == 1:  # type: ignore[union-attr]
            fresh[place] += 1
    return items, fresh


def item_key(kind: str, value: str) -> tuple[str, str]:
    """The folder that a path lies in, as an item; any other item itself."""
    folder, slash, _ = value.rpartition("/")
    # A kind of its own: /tmp/* is a random name in /tmp, and says nothing of the others there.
    return ("folder", folder + slash) if kind in {"path", "change"} and slash else (kind, value)


def _by_folder(items: Items) -> Items:
    """The same, with those folders as one item in which too many names were seen."""
    names: dict[tuple[str, str], int] = defaultdict(int)
    for kind, value in items:
        names[item_key(kind, value)] += 1
    kept: Items = {}
    for (kind, value), item in items.items():
        folder = item_key(kind, value)
        key = folder if names[folder] > _MOST_NAMES or folder in items else (kind, value)
        kept[key] = kept[key] + item if key in kept else item
    return kept
