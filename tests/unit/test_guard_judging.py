"""Judging: what is unusual is found, told once, with its evidence; what is usual is left alone."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from skep.base.errors import UsageError
from skep.guard.behaviour import Run, Trace, encode
from skep.guard.grams import pack
from skep.guard.judging import Judge
from skep.guard.profile import learn
from skep.guard.reading import read_folder
from skep.guard.report import verdict_data, verdict_lines

TRACES = Path(__file__).parent.parent / "traces"
EXECVE, CONNECT = encode(59), encode(42)


def usual(seed, length=2000):
    """A loop of eight calls that now and then skips one."""
    pick = np.random.default_rng(seed)
    calls = np.tile(np.arange(1, 9), length // 8 + 1)
    return calls[pick.random(len(calls)) > 0.02][:length].astype(np.uint64)


def run(calls, name="run", **more):
    return Run(name, [Trace(np.asarray(calls, np.uint64), **more)])


def spliced(calls, place, foreign):
    return np.concatenate((calls[:place], np.asarray(foreign, np.uint64), calls[place:]))


@pytest.fixture(scope="module")
def profile():
    """What was learned of forty usual runs."""
    return learn([run(usual(seed), f"train-{seed}") for seed in range(40)], "x86_64")


def test_usual_runs_raise_no_alarm(profile):
    judge = Judge(profile)
    verdicts = [judge.judge(run(usual(1000 + seed))) for seed in range(100)]

    assert sum(len(verdict.alarms) for verdict in verdicts) <= 1
    assert np.median([verdict.probability for verdict in verdicts]) > 0.2


def test_probabilities_of_usual_runs_are_what_they_say(profile):
    judge = Judge(profile)
    rarities = np.array([judge.judge(run(usual(2000 + seed))).rarity for seed in range(300)])

    assert (rarities >= -math.log(0.1)).mean() == pytest.approx(0.1, abs=0.07)
    assert (rarities >= -math.log(0.3)).mean() == pytest.approx(0.3, abs=0.15)


def test_one_alarm_an_episode_where_it_is(profile):
    foreign = [EXECVE, CONNECT, 60, 61, 62, 63] * 100
    verdict = Judge(profile).judge(run(spliced(usual(7), 1000, foreign)))

    (alarm,) = verdict.alarms
    assert 850 <= alarm.first <= 1000
    assert 1600 <= alarm.end <= 1750
    assert alarm.rarity > 12
    assert verdict.probability < 1e-3


def test_two_episodes_far_apart_are_two_alarms(profile):
    calls = spliced(spliced(usual(8), 1500, [EXECVE] * 60), 300, [CONNECT] * 60)

    first, second = Judge(profile).judge(run(calls)).alarms

    assert first.end < second.first
    assert [evidence.what for evidence in first.evidence if evidence.kind == "call"] == ["connect"]
    assert [evidence.what for evidence in second.evidence if evidence.kind == "call"] == ["execve"]


def test_evidence_says_how_rare_and_what_is_usual(profile):
    # All of these calls are usual; their order is not.
    calls = spliced(usual(9), 1000, [5, 2, 7, 4, 1, 6] * 10)

    (alarm,) = Judge(profile).judge(run(calls)).alarms

    pair = next(evidence for evidence in alarm.evidence if evidence.what == "stat write")
    assert (pair.kind, pair.seen) == ("sequence", 0)
    assert pair.times >= 10
    assert pair.usual == "fstat (98%)"
    assert str(pair).startswith("sequence stat write: 1")
    assert "never seen in training; usual: fstat (98%)" in str(pair)


def test_what_follows_a_call_that_was_never_made_is_no_evidence_of_its_own(profile):
    (alarm,) = Judge(profile).judge(run(spliced(usual(9), 1000, [EXECVE, 1, 2, CONNECT, 1, 2] * 10))).alarms

    assert {evidence.what for evidence in alarm.evidence if evidence.kind == "call"} == {"execve", "connect"}
    assert not any("execve" in evidence.what for evidence in alarm.evidence if evidence.kind == "sequence")


def test_the_nearest_training_run_is_named(profile):
    calls = usual(3)

    assert Judge(profile).judge(run(calls)).nearest.startswith("train-")


def test_fewer_false_alarms_ask_for_rarer_windows(profile):
    calls = spliced(usual(10), 1000, [5, 2, 7, 4])
    seen = [len(Judge(profile, false_alarms=each).judge(run(calls)).alarms) for each in (1e-12, 1, 1e4)]

    assert seen == sorted(seen)
    assert seen[0] < seen[-1]


@pytest.mark.parametrize("false_alarms", [0, -1, float("nan"), float("inf")])
def test_no_false_alarms_at_all_cannot_be_had(profile, false_alarms):
    with pytest.raises(UsageError, match="above 0"):
        Judge(profile, false_alarms=false_alarms)


def test_a_profile_that_has_not_settled_is_used_only_by_force():
    pick = np.random.default_rng(5)
    unsettled = learn([run(pick.integers(1, 400, 500)) for _ in range(10)], "x86_64")

    with pytest.raises(UsageError, match=r"has not settled: .* new pairs") as caught:
        Judge(unsettled)
    assert "--force" in str(caught.value.remedy)
    assert Judge(unsettled, force=True).judge(run(usual(1))).rarity > 0


def test_few_runs_do_not_settle():
    few = learn([run(usual(seed)) for seed in range(4)], "x86_64")

    with pytest.raises(UsageError, match="from 4 runs"):
        Judge(few)


def test_a_run_without_calls_or_with_one_is_judged(profile):
    judge = Judge(profile)

    assert judge.judge(run([])).probability == 1
    assert judge.judge(Run("none", [])).probability == 1
    assert judge.judge(run([EXECVE])).rarity > judge.judge(run([1])).rarity


def test_windows_with_lost_events_weigh_less_and_say_so(profile):
    calls = spliced(usual(11), 1000, [EXECVE, CONNECT, 60, 61] * 20)
    lost = np.zeros(len(calls), np.int64)
    lost[[1010, 1040]] = 30, 70
    judge = Judge(profile)
    whole, holed = judge.judge(run(calls)), judge.judge(run(calls, lost=lost))

    assert holed.alarms[0].lost == 100
    assert holed.alarms[0].rarity < 0.6 * whole.alarms[0].rarity
    assert holed.rarity < whole.rarity
    assert any("100 events are missing" in line for line in verdict_lines(holed, explain=False))
    assert verdict_data(holed)["lost"] == 100


def test_a_hole_alone_is_no_alarm(profile):
    calls = np.delete(usual(12), np.arange(700, 717))
    lost = np.zeros(len(calls), np.int64)
    lost[700] = 17

    assert Judge(profile).judge(run(calls, lost=lost)).alarms == ()


def test_new_items_are_found_and_named():
    def with_items(seed, *more):
        items = [(place, "path", f"/etc/{place % 7}") for place in range(0, 500, 9)]
        return run(usual(seed, 500), items=sorted([*items, *more]))

    judge = Judge(learn([with_items(seed) for seed in range(20)], "x86_64"), false_alarms=100)
    shadow = [(250 + place, "path", name) for place, name in enumerate(["/etc/shadow", "/root/.ssh/*", "/etc/shadow"])]

    assert judge.judge(with_items(99)).alarms == ()
    (alarm,) = judge.judge(with_items(99, *shadow, (251, "peer", "6.6.6.6:666"))).alarms
    assert alarm.voices["new items"] > 3
    assert [(evidence.kind, evidence.what, evidence.times) for evidence in alarm.evidence[:3]] == [
        ("path", "/etc/shadow", 2),
        ("path", "/root/.ssh/*", 1),
        ("peer", "6.6.6.6:666", 1),
    ]


def test_a_new_item_is_told_of_the_first_thread_that_brings_it():
    def threads(seed, *more):
        items = [*((place, "path", "/etc/hosts") for place in range(0, 450, 9)), *more]
        return Run(str(seed), [Trace(usual(10 * seed + thread, 500), "worker", items=items) for thread in range(4)])

    judge = Judge(learn([threads(seed) for seed in range(20)], "x86_64"), false_alarms=100)
    shadow = [(450, "path", f"/root/{number}") for number in range(12)]

    assert [alarm.thread for alarm in judge.judge(threads(99, *shadow)).alarms] == [0]


def test_another_pace_is_found():
    def paced(seed, seconds):
        return run(usual(seed, 600), times=np.arange(600) * seconds * 1e9)

    judge = Judge(learn([paced(seed, 0.01) for seed in range(20)], "x86_64"), false_alarms=100)

    assert judge.judge(paced(50, 0.01)).alarms == ()
    for seconds, voice in ((0.0001, "many calls a second"), (1.0, "few calls a second")):
        (alarm,) = judge.judge(paced(51, seconds)).alarms
        assert max(alarm.voices, key=alarm.voices.__getitem__) == voice


@pytest.mark.parametrize("length", [1, 2, 3, 99])
def test_a_few_calls_have_no_pace(length):
    def run_of(seed, length):
        gaps = np.random.default_rng(seed).exponential(1e6, length)
        return run(usual(seed, length), times=np.cumsum(gaps))

    judge = Judge(learn([run_of(seed, 800) for seed in range(20)], "x86_64"), false_alarms=100)

    assert [judge.judge(run_of(100 + seed, length)).alarms for seed in range(20)] == [()] * 20


def test_all_roles_share_the_false_alarms():
    def judge(*roles):
        runs = [Run(str(seed), [Trace(usual(seed, 600), role) for role in roles]) for seed in range(10)]
        return Judge(learn(runs, "x86_64"))

    (alone,) = judge("one")._alarming.values()
    shared = judge("one", "two", "three", "four")._alarming

    assert list(shared.values()) == pytest.approx([alone + math.log(4)] * 4)


def test_threads_are_judged_by_their_role():
    def pair(seed, reader, writer):
        return Run(str(seed), [Trace(reader, "reader"), Trace(writer, "writer")])

    def reads(seed):
        return usual(seed, 600)

    def writes(seed):
        return usual(seed, 600)[::-1].copy()

    judge = Judge(learn([pair(seed, reads(seed), writes(seed)) for seed in range(20)], "x86_64"))

    assert judge.judge(pair(77, reads(77), writes(77))).alarms == ()
    found = judge.judge(pair(77, writes(77), writes(78))).alarms
    assert {(alarm.role, alarm.thread) for alarm in found} == {("reader", 0)}


def test_explained_verdicts_tell_more(profile):
    verdict = Judge(profile).judge(run(spliced(usual(7), 1000, [EXECVE, CONNECT] * 50)))
    short, long = (list(verdict_lines(verdict, explain=explain)) for explain in (False, True))

    assert "1 alarm" in short[0]
    assert short[1].startswith("  alarm: calls ")
    assert set(short) < set(long)
    assert any(line.strip().startswith("call execve: 50 times, never seen in training") for line in long)


def test_recorded_runs_of_openssl_and_what_was_spliced_into_them():
    judge = Judge(learn(read_folder(str(TRACES / "train"), "x86_64"), "x86_64"))
    normal, attack = (
        [judge.judge(each) for each in read_folder(str(TRACES / part), "x86_64")] for part in ("normal", "attack")
    )

    assert sum(bool(verdict.alarms) for verdict in normal) <= 1
    assert sum(bool(verdict.alarms) for verdict in attack) >= 0.8 * len(attack)
    assert min(verdict.rarity for verdict in attack) > np.median([verdict.rarity for verdict in normal])


def test_a_window_is_judged_by_what_was_never_learned_of_it(profile):
    judge = Judge(profile)
    (role,) = profile.roles
    foreign = pack([run([*range(1, 9), EXECVE, CONNECT, *range(60, 80)]).traces[0]])[0][8:].tolist()

    assert judge.role("unheard of") == role
    assert judge.window(role, foreign[:1]) < 0 <= judge.window(role, foreign)
    assert judge.window(role, foreign[:1]) < judge.window(role, foreign[:3])
    assert {one.kind for one in judge.explain(role, foreign)} == {"call"}


def test_new_members_of_sets_are_counted_by_kind():
    items = [[(0, "path", "/a"), (1, "peer", "b")], [(0, "path", "/a")], [(0, "path", "/c"), (2, "child", "/d")]]
    learned = learn([run(usual(seed), items=tuple(each)) for seed, each in enumerate(items)], "x86_64")

    assert learned.fresh_items == {"path": 1, "peer": 1, "child": 1}
    assert learned.knows("path", "/c")
    assert not learned.knows("path", "/d")
