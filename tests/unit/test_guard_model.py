"""The model: sequences, held-out scores, tails, voices, windows. Where a short slow way exists, it is the oracle."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skep.guard.behaviour import Run, Trace
from skep.guard.grams import ORDER, Grams, calls_of, pack, pairs, sum_by_key
from skep.guard.mix import Mixes
from skep.guard.sequence import Sequences, held_out
from skep.guard.tail import Tail
from skep.guard.voices import STEP, WINDOW, WINDOW_VOICES, Calibration, Windows

CALLS = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=25), min_size=2, max_size=5)


def trace(calls, **more):
    return Trace(np.array(calls, np.uint64), **more)


def counted(traces):
    keys, whole = pack(traces)
    known, counts = sum_by_key(keys[whole], np.ones(int(whole.sum())))
    both = np.unique(pairs(known, 1))
    return Grams(known, counts, both, np.ones(len(both)))


def slow_surprise(history, call, context):
    """Witten and Bell's probability by counting through all that was seen, as their formula says it."""
    if context is None:
        return 1 / 512
    followers = Counter(
        seen[place + len(context)]
        for seen in history
        for place in range(ORDER - 1 - len(context), len(seen) - len(context))
        if tuple(seen[place : place + len(context)]) == context
    )
    shorter = slow_surprise(history, call, context[1:] if context else None)
    if not followers:
        return shorter
    return (followers[call] + len(followers) * shorter) / (followers.total() + len(followers))


@given(CALLS, st.lists(st.integers(1, 7), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_surprise_is_that_of_the_formula(seen, judged):
    padded = [[0] * (ORDER - 1) + calls for calls in seen]
    mine = [0] * (ORDER - 1) + judged

    surprise, novelty = Sequences(counted([trace(calls) for calls in seen])).judge(pack([trace(judged)])[0])

    for place in range(len(judged)):
        end = place + ORDER - 1
        expected = slow_surprise(padded, mine[end], tuple(mine[end - ORDER + 1 : end]))
        assert surprise[place] == pytest.approx(-math.log(expected))
        known = {
            (calls[i - distance], calls[i], distance)
            for calls in padded
            for i in range(ORDER - 1, len(calls))
            for distance in range(1, ORDER)
        }
        fresh = [(mine[end - distance], mine[end], distance) not in known for distance in range(1, ORDER)]
        assert novelty[place] == pytest.approx(sum(fresh) / 6)


@given(CALLS)
@settings(max_examples=40, deadline=None)
def test_held_out_is_what_a_model_of_the_other_runs_says(runs):
    keys, owner, counts = [], [], []
    for number, calls in enumerate(runs):
        known, often = np.unique(pack([trace(calls)])[0], return_counts=True)
        keys.append(known)
        owner.append(np.full(len(known), number))
        counts.append(often)

    surprise, novelty = held_out(np.concatenate(keys), np.concatenate(owner), np.concatenate(counts), len(runs))

    for number, mine in enumerate(keys):
        others = Sequences(counted([trace(calls) for other, calls in enumerate(runs) if other != number]))
        here = np.concatenate(owner) == number
        for got, expected in zip((surprise[here], novelty[here]), others.judge(mine), strict=True):
            assert got == pytest.approx(expected)


def test_probabilities_of_all_codes_add_up_to_one():
    model = Sequences(counted([trace([1, 2, 3, 1, 2, 4, 1, 2, 3])]))
    context = pack([trace([1, 2, 3, 1, 2])])[0][-1] << np.uint64(9)

    surprise, _ = model.judge(context | np.arange(512, dtype=np.uint64))

    assert np.exp(-surprise).sum() == pytest.approx(1)


def test_a_key_holds_seven_calls_and_none_from_before_the_thread():
    keys, _ = pack([trace([5, 6, 7]), trace([510, 511] * 5)])

    assert calls_of(int(keys[2])) == [5, 6, 7]
    assert calls_of(int(keys[3])) == [510]
    assert calls_of(int(keys[-1])) == [511, 510, 511, 510, 511, 510, 511]
    assert calls_of(int(keys[-1]), 2) == [510, 511]


def test_nothing_reaches_across_a_hole():
    calls = list(range(1, 21))
    holes = np.zeros(20, np.int64)
    holes[10] = 3

    keys, whole = pack([trace(calls, lost=holes)])

    assert np.flatnonzero(~whole).tolist() == [10, 11, 12, 13, 14, 15]
    assert len(keys) == 20


def test_grams_add_up():
    left, right = counted([trace([1, 2, 3])]), counted([trace([1, 2, 4])])

    both = left + right

    assert both.calls == 6
    assert both.counts.tolist() == counted([trace([1, 2, 3]), trace([1, 2, 4])]).counts.tolist()
    assert both.fresh == 2  # 2 3 and 2 4; the others are in both


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.floats(-9, 9))
@settings(deadline=None)
def test_the_tail_counts_what_is_at_least_as_large(values, value):
    tail = Tail(np.array(values), step=0.1)
    as_large = sum(other >= value for other in values)

    probability = math.exp(-float(tail.rarity(np.array([value]))[0]))

    if value <= max(values):
        assert as_large - 1e-6 <= probability * (len(values) + 1) <= as_large + 1 + 1e-6
    else:
        assert probability <= 1 / (len(values) + 1) + 1e-9


def test_of_two_values_beyond_the_smallest_the_larger_is_the_rarer():
    values = np.round(np.random.default_rng(4).exponential(1.0, 300), 1)
    asked = np.linspace(0.01, 9, 2000)

    for tail in (Tail(values, step=0.1), Tail(values, step=0.1).thinned(), Tail(np.zeros(300), step=0.1)):
        assert (np.diff(tail.rarity(asked)) > 0).all()


def test_probabilities_of_new_values_are_uniform():
    pick = np.random.default_rng(5)
    rare = np.concatenate([Tail(pick.normal(size=99), step=0.01).rarity(pick.normal(size=99)) for _ in range(200)])

    for asked in (0.5, 0.1, 0.02, 0.01):
        assert (rare >= -math.log(asked)).mean() == pytest.approx(asked, rel=0.15)


def test_the_tail_of_an_exponential_distribution_goes_on_as_it_should():
    values = np.random.default_rng(1).exponential(2.0, 20_000)

    rare = Tail(values, step=0.01).rarity(np.array([2 * math.log(1e6)]))[0]

    assert rare == pytest.approx(math.log(1e6), rel=0.1)


def test_a_tail_judges_its_own_values_by_the_others():
    values = np.array([1.0, 2.0, 3.0, 9.0, 4.0])

    own = Tail(values, step=1.0).own_rarity(values)

    for place in range(5):
        others = Tail(np.delete(values, place), step=1.0)
        assert own[place] == pytest.approx(others.rarity(values[place : place + 1])[0])


def test_thinning_keeps_the_upper_tail_and_never_understates_a_probability():
    values = np.random.default_rng(2).normal(size=30_000)
    whole, thinned = Tail(values, step=0.01), Tail(values, step=0.01).thinned()
    asked = np.linspace(-4, 6, 200)

    assert len(thinned.values) <= 1500
    assert thinned.total == whole.total
    assert (thinned.rarity(asked) <= whole.rarity(asked) + 0.05).all()
    assert thinned.rarity(asked[asked > 2.2]) == pytest.approx(whole.rarity(asked[asked > 2.2]), rel=0.02)


def test_two_halves_of_a_distribution_merge_to_the_whole():
    values = np.random.default_rng(3).normal(size=1000)
    asked = np.array([0.0, 1.0, 2.0, 3.0, 5.0])

    merged = Tail(values[:300], step=0.1) + Tail(values[300:], step=0.1)

    assert merged.rarity(asked) == pytest.approx(Tail(values, step=0.1).rarity(asked))


def test_a_voice_that_was_never_heard_says_nothing():
    silent = Tail(np.full(50, np.nan), step=1.0)
    heard = Tail(np.arange(50.0), step=1.0)

    assert silent.rarity(np.array([1e9])).tolist() == [0]
    assert heard.rarity(np.array([np.nan])).tolist() == [0]


def test_fused_probabilities_of_dependent_voices_are_calibrated():
    pick = np.random.default_rng(4)

    def drawn(number):
        shared = pick.normal(size=(number, 1))
        return shared + pick.normal(size=(number, 5))

    calibration = Calibration.of(drawn(2000), [0.01] * 5, leads=True)
    rare = calibration.rarity(calibration.rarities(drawn(5000)))

    for asked in (0.2, 0.05, 0.01):
        assert (rare >= -math.log(asked)).mean() == pytest.approx(asked, rel=0.35)


@pytest.mark.parametrize("length", [1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 7])
def test_windows_cover_every_call_and_nothing_else(length):
    windows = Windows([trace([1] * 5), trace([2] * length)])
    mine = windows.owner == 1
    covered = {
        call for first, end in zip(windows.first[mine], windows.end[mine], strict=True) for call in range(first, end)
    }

    assert covered == set(range(5, 5 + length))
    assert (np.diff(windows.first[mine]) <= STEP).all()
    assert (windows.end - windows.first)[mine].tolist() == [min(length, WINDOW)] * int(mine.sum())


def test_the_voices_of_windows():
    length = 2 * WINDOW
    times = np.arange(length) * 1e9
    times[WINDOW:] = times[WINDOW - 1] + np.arange(1, WINDOW + 1) * 1e7  # a hundred times as fast
    depth = np.zeros(length)
    depth[-1] = 3
    windows = Windows([trace([1] * length, times=times, depth=depth)])
    fresh = np.zeros(length)
    fresh[60] = 2

    voices = windows.voices(np.ones(length), np.full(length, 0.5), fresh)
    by_name = dict(zip(WINDOW_VOICES, voices.T.tolist(), strict=True))

    assert by_name["surprise"] == [1, 1, 1]
    assert by_name["novelty"] == [0.5, 0.5, 0.5]
    assert by_name["new items"] == [2, 2, 0]
    assert by_name["many calls a second"][2] == pytest.approx(math.log(WINDOW / 0.99))
    assert by_name["few calls a second"][0] == pytest.approx(-math.log(WINDOW / 99))
    assert by_name["depth"] == [0, 0, 3]


def test_without_times_no_rate_is_heard():
    voices = Windows([trace([1] * 300)]).voices(np.zeros(300), np.zeros(300), np.zeros(300))

    assert np.isnan(voices[:, 3:]).all()


def test_the_nearest_run_is_that_with_the_most_similar_mix():
    runs = [
        Run("reads", [trace([1] * 50 + [2])]),
        Run("writes", [trace([2] * 50 + [3])]),
        Run("alike", [trace([1] * 40 + [2])]),
    ]
    mixes = Mixes.of(runs)

    distance, name = mixes.nearest(Run("new", [trace([2] * 60 + [3])]))

    assert name == "writes"
    assert 0 <= distance < 0.01
    assert mixes.apart()[1] > mixes.apart()[0] == pytest.approx(mixes.apart()[2], abs=1e-6)
    # Calls that none of them makes set a run apart.
    assert mixes.nearest(Run("foreign", [trace([1] * 50 + [9] * 50)]))[0] > 0.3


def test_of_very_many_runs_each_is_as_far_from_the_others_as_a_new_one_would_be():
    pick = np.random.default_rng(6)
    runs = [Run(str(number), [trace(pick.integers(1, 40, 30))]) for number in range(1300)]

    mixes = Mixes.of(runs)
    apart, kept = mixes.apart(), mixes.thinned()

    assert len(kept.names) == 1000
    for number, run in enumerate(runs):
        if str(number) not in kept.names:
            assert apart[number] == pytest.approx(kept.nearest(run)[0], abs=1e-6)
    # None is its own neighbour.
    assert apart.min() > 0.01


def test_a_trace_that_goes_on_from_another_has_its_calls_before():
    calls = np.arange(1, 21, dtype=np.uint64)
    whole, _ = pack([Trace(calls)])
    first, second = Trace(calls[:9]), Trace(calls[9:12], before=calls[:9].tolist())
    third = Trace(calls[12:], before=[*second.before, *second.calls.tolist()])

    assert pack([first, second, third])[0].tolist() == whole.tolist()
    assert pack([Trace(calls[2:], before=[1, 2])])[0].tolist() == whole[2:].tolist()
