"""One profile of many programs, as published sets have it: short and long traces, twins, runs hardly seen before."""

from __future__ import annotations

import numpy as np
import pytest

from skep.guard.behaviour import Run, Trace
from skep.guard.evaluation import Scores, metrics
from skep.guard.judging import Judge
from skep.guard.profile import learn
from skep.guard.voices import RUN_VOICES

CALLS = 40


class Program:
    """A random walk: after each two calls one of three follows."""

    def __init__(self, seed, first):
        pick = np.random.default_rng(seed)
        self._next = first + pick.integers(0, CALLS, (CALLS, CALLS, 3))
        self._first = first

    def calls(self, pick, length):
        made = [self._first, self._first]
        for turn in pick.choice(3, length, p=(0.7, 0.25, 0.05)):
            before, last = (call - self._first for call in made[-2:])
            made.append(int(self._next[before, last, turn]))
        return np.array(made[2:], np.uint64)


PROGRAMS = [Program(seed, 1) for seed in range(7)]
NEW = Program(9, 300)


def some(pick, number, weights, name):
    """Runs of the programs in such shares, 3 to 2000 calls long."""
    lengths = np.exp(pick.normal(5, 1, number)).clip(3, 2000).astype(int)
    which = pick.choice(len(weights), number, p=np.array(weights) / sum(weights))
    return [
        Run(f"{name}{place}", [Trace(PROGRAMS[program].calls(pick, length))])
        for place, (program, length) in enumerate(zip(which, lengths, strict=True))
    ]


def within(pick, run, foreign):
    calls, place = run.traces[0].calls, int(pick.integers(0, run.calls + 1))
    return Run(run.name, [Trace(np.concatenate((calls[:place], foreign, calls[place:])))])


@pytest.fixture(scope="module")
def judged():
    """Verdicts on normal runs, on runs of another program with the same calls, and on runs with a few new calls."""
    pick = np.random.default_rng(12)
    # The sixth is one run in 200 at first, and one in 30 later; the seventh is never seen.
    train = some(pick, 400, [20, 10, 7, 5, 4, 0.23], "train")
    normal = some(pick, 600, [8, 8, 8, 8, 8, 1.4], "normal")
    other = [Run("other", [Trace(PROGRAMS[6].calls(pick, length))]) for length in pick.integers(40, 600, 60)]
    burst = [within(pick, run, NEW.calls(pick, 6)) for run in some(pick, 60, [1, 1, 1, 1, 1], "burst")]
    judge = Judge(learn(train, "x86_64"), force=True)
    return {
        name: [judge.judge(run) for run in runs]
        for name, runs in (("normal", normal), ("other", other), ("burst", burst), ("twins", [*other, *other[:20]]))
    }


def measured(normal, attack):
    same = np.arange(len(normal) + len(attack))
    return metrics(Scores(np.array(normal), np.array(attack), np.arange(len(attack)), same, 1.0))


@pytest.mark.parametrize("kind", ["other", "burst"])
def test_whole_runs_are_told_apart_whatever_it_is_that_tells(judged, kind):
    normal, attack = judged["normal"], judged[kind]

    fused = measured([verdict.rarity for verdict in normal], [verdict.rarity for verdict in attack])
    alone = [
        measured([each.voices[voice] for each in normal], [each.voices[voice] for each in attack])
        for voice in RUN_VOICES
    ]

    assert fused["auc"] >= 0.95
    assert fused["detection_at_1"] >= max(found["detection_at_1"] for found in alone) - 0.1
    assert fused["detection_at_5"] >= 0.8


def test_runs_of_few_calls_are_no_rarer_than_others(judged):
    rarities = np.array([verdict.rarity for verdict in judged["normal"]])
    short = np.array([verdict.run.calls < 50 for verdict in judged["normal"]])

    unusual = rarities >= np.quantile(rarities, 0.9)

    assert short.sum() > 50
    assert unusual[short].mean() < 0.25


def test_runs_that_differ_are_not_equally_rare(judged):
    rarities = np.array([verdict.rarity for verdict in judged["normal"] + judged["other"] + judged["burst"]])

    upper = rarities[rarities > np.quantile(rarities, 0.8)]

    assert len(np.unique(upper)) == len(upper)


def test_twins_are_equally_rare(judged):
    rarities = [verdict.rarity for verdict in judged["twins"]]

    assert rarities[:20] == rarities[60:]
