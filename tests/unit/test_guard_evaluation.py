"""The evaluation: its measures against slow ones, what it reads, and the verb around it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skep.base.abi.syscalls import syscalls
from skep.base.errors import UsageError
from skep.cli import main
from skep.guard.evaluation import Scores, _measure, evaluate, metrics

TRACES = Path(__file__).parent.parent / "traces"
KEYS = ["auc", "auc_without_duplicates", "detection_at_1", "detection_at_5", "detection_at_10"]
KEYS += ["calibrated_false_positives", "calibrated_detection", "instances_detected", "calls_per_second"]


def scores(normal, attack, instances=None, same=None):
    instances = np.arange(len(attack)) if instances is None else np.array(instances)
    same = np.arange(len(normal) + len(attack)) if same is None else np.array(same)
    return Scores(np.array(normal, float), np.array(attack, float), instances, same, 1e6)


def at(folder: Path) -> tuple[str, str, str]:
    return str(folder / "train"), str(folder / "normal"), str(folder / "attack")


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.lists(st.integers(0, 9), min_size=1, max_size=30))
@settings(deadline=None)
def test_the_area_is_the_share_of_pairs_in_the_right_order(normal, attack):
    pairs = [(a > n) + (a == n) / 2 for a in attack for n in normal]

    assert _measure(scores(normal, attack))["auc"] == pytest.approx(sum(pairs) / len(pairs))


@given(st.lists(st.integers(0, 99), min_size=1, max_size=150), st.lists(st.integers(0, 99), min_size=1, max_size=30))
@settings(deadline=None)
def test_detection_is_the_best_that_a_threshold_reaches(normal, attack):
    found = _measure(scores(normal, attack))

    for share in (1, 5, 10):
        best = max(
            sum(a > threshold for a in attack) / len(attack)
            for threshold in {*normal, *attack}
            if sum(n > threshold for n in normal) <= share / 100 * len(normal)
        )
        assert found[f"detection_at_{share}"] == pytest.approx(best)


def test_calibrated_measures_ask_for_one_in_a_hundred():
    found = metrics(scores([0, 1, 4.7, 2], [4.6, 4.61, 9], instances=[0, 0, 1]))

    assert found["calibrated_false_positives"] == 0.25
    assert found["calibrated_detection"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["instances_detected"] == 1


def test_equal_traces_count_once_without_duplicates():
    found = metrics(scores([5, 5, 5, 1], [3, 2], same=[0, 0, 0, 1, 2, 3]))

    assert found["auc"] == 0.25
    assert found["auc_without_duplicates"] == 0.5


def test_intervals_hold_the_value_and_narrow_with_more_runs():
    pick = np.random.default_rng(7)
    widths = []
    for number in (40, 2000):
        found = metrics(scores(pick.normal(size=number), pick.normal(1, size=number)))
        low, high = found["auc_interval"]
        assert low <= found["auc"] <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


def test_traces_of_one_instance_say_less_than_as_many_instances():
    pick = np.random.default_rng(8)
    attack = np.repeat(pick.normal(1, size=8), 50)
    given_scores = scores(pick.normal(size=400), attack, instances=np.repeat(np.arange(8), 50))

    by_trace, by_instance = (metrics(given_scores, by_instance=each)["auc_interval"] for each in (False, True))

    assert by_instance[1] - by_instance[0] > 2 * (by_trace[1] - by_trace[0])


def test_the_recorded_set_is_evaluated_the_same_each_time():
    first, second = (evaluate(*at(TRACES), "x86_64") for _ in range(2))
    speeds = [found.pop("calls_per_second") for found in (first, second)]

    assert min(speeds) > 0
    assert first == second
    assert {*KEYS} - {"calls_per_second"} <= set(first)
    assert {f"{key}_interval" for key in KEYS[:-1]} <= set(first)
    assert first["auc"] >= 0.98
    assert first["detection_at_5"] >= 0.85
    assert (first["normal_runs"], first["attack_runs"], first["instances"]) == (20, 12, 12)


def test_a_folder_of_folders_is_a_program_each(tmp_path):
    for part in ("train", "normal", "attack"):
        for program in ("openssl", "copy"):
            shutil.copytree(TRACES / part, tmp_path / part / program)

    found = evaluate(*at(tmp_path), "x86_64")

    alone = evaluate(*at(TRACES), "x86_64")
    assert found["auc"] == alone["auc"]
    assert found["instances"] == 2 * alone["instances"]


def test_a_program_without_its_attacks_is_named(tmp_path):
    for part in ("train", "normal", "attack"):
        shutil.copytree(TRACES / part, tmp_path / part / "openssl")
    shutil.copytree(TRACES / "train", tmp_path / "train" / "curl")

    with pytest.raises(UsageError, match=r"normal has no folder curl, and .*train has"):
        evaluate(*at(tmp_path), "x86_64")


@pytest.mark.parametrize("missing", ["train", "normal", "attack"])
def test_a_part_that_is_missing_or_empty(tmp_path, missing):
    shutil.copytree(TRACES, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / missing)
    with pytest.raises(UsageError, match="no such folder"):
        evaluate(*at(tmp_path), "x86_64")

    (tmp_path / missing).mkdir()
    with pytest.raises(UsageError, match="holds no files"):
        evaluate(*at(tmp_path), "x86_64")


def translated(folder, architecture):
    """The recorded set with the numbers of another architecture, where it has the call."""
    numbers = {name: number for number, name in syscalls(architecture).items()}
    for path in folder.rglob("*.txt"):
        names = [syscalls("x86_64")[int(word)] for word in path.read_text().split()]
        path.write_text(" ".join(str(numbers[name]) for name in names if name in numbers))


def test_the_numbers_of_i386_are_read_by_its_table(tmp_path, capsys):
    shutil.copytree(TRACES, tmp_path, dirs_exist_ok=True)
    translated(tmp_path, "i386")
    profile = str(tmp_path / "profile")

    assert main(["guard", "learn", str(tmp_path / "train"), "--arch", "i386", "-o", profile]) == 0
    assert main(["guard", "show", profile, "-o", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)

    assert shown["architecture"] == "i386"
    assert {"openat", "read", "brk"} <= set(shown["roles"][""]["system_calls"])
    assert evaluate(*at(tmp_path), "i386")["auc"] >= 0.98


@pytest.fixture
def profile(tmp_path):
    """The path of a profile of the recorded runs of openssl."""
    path = str(tmp_path / "openssl.profile")
    assert main(["guard", "learn", str(TRACES / "train"), "--arch", "x86_64", "--program", "openssl", "-o", path]) == 0
    return path


def test_learning_says_how_settled_it_is(tmp_path, capsys):
    profile = str(tmp_path / "profile")
    assert main(["guard", "learn", str(TRACES / "train"), "--arch", "x86_64", "-o", profile]) == 0
    said = capsys.readouterr()

    assert said.out == ""
    assert said.err.startswith(f"skep: {profile}: ")
    assert "calls in 40 runs" in said.err
    assert said.err.endswith(": settled\n")


@pytest.mark.parametrize("verb", ["score", "explain"])
def test_runs_are_judged_one_line_of_json_each(profile, capsys, verb):
    assert main(["guard", verb, profile, str(TRACES / "attack"), "-o", "json"]) == 0

    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(found) == 12
    assert all(verdict["run"].startswith(str(TRACES)) for verdict in found)
    evidence = [one for verdict in found for alarm in verdict["alarms"] for one in alarm["evidence"]]
    assert {"call", "sequence"} <= {one["kind"] for one in evidence}


def test_explaining_tells_people_the_evidence(profile, capsys):
    trace = next(path for path in sorted((TRACES / "attack").rglob("*.txt")))
    assert main(["guard", "score", profile, str(trace)]) == 0
    short = capsys.readouterr().out
    assert main(["guard", "explain", profile, str(trace), "--false-alarms", "0.1"]) == 0
    long = capsys.readouterr().out

    assert "normal runs is as unusual; 1 alarm" in short
    assert "never seen in training" in long
    assert "never seen in training" not in short


def test_diff_and_merge(profile, tmp_path, capsys):
    both = str(tmp_path / "both")
    assert main(["guard", "merge", profile, profile, "-o", both]) == 0
    assert main(["guard", "diff", profile, both]) == 0
    assert capsys.readouterr().out == ""
    assert main(["guard", "show", both]) == 0
    assert "in 80 runs" in capsys.readouterr().out
    assert main(["guard", "diff", profile, both, "-o", "json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"left", "right"}
    assert main(["guard", "merge", profile, "-o", both]) == 2
    assert "two profiles at least" in capsys.readouterr().err


def test_evaluate_prints_text_or_json(capsys):
    train, normal, attack = at(TRACES)
    given_folders = ["guard", "evaluate", "--train", train, "--normal", normal, "--attack", attack, "--arch", "x86_64"]

    assert main([*given_folders, "--by-instance", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(KEYS) <= set(found)
    assert main(given_folders) == 0
    assert f"auc                         {found['auc']}  (" in capsys.readouterr().out


def test_what_is_wrong_is_said_with_its_exit_code(profile, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "one").write_text("1 2 3\n")
    cut = tmp_path / "cut"
    cut.write_bytes(Path(profile).read_bytes()[:5000])
    cases = [
        (["learn", str(empty), "-o", profile], 2, "holds no files"),
        (["learn", str(tmp_path / "one"), "-o", profile], 2, "two runs at least"),
        (["score", str(cut), str(tmp_path / "one")], 1, "damaged"),
        (["score", profile, profile], 2, "is no trace"),
        (["score", profile, str(tmp_path / "one"), "--false-alarms", "none"], 2, "no number above 0"),
        (["show", str(tmp_path / "nowhere")], 2, "no such profile"),
        (["learn", str(tmp_path / "one"), "--arch", "vax", "-o", profile], 2, "vax"),
        (["scor"], 2, "scor"),
        (["show", profile, "--ouput"], 2, "--ouput"),
    ]
    for arguments, code, said in cases:
        capsys.readouterr()
        assert main(["guard", *arguments]) == code
        assert said in capsys.readouterr().err
    # A failure leaves the profile that was there.
    assert main(["guard", "show", profile]) == 0
    assert os.path.getsize(profile) > 0


def test_an_unsettled_profile_is_used_by_force_only(tmp_path, capsys):
    pick = np.random.default_rng(9)
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text(" ".join(map(str, pick.integers(0, 300, 400))))
    profile = str(tmp_path / "profile")
    assert main(["guard", "learn", *map(str, sorted(tmp_path.glob("*.txt"))), "--arch", "x86_64", "-o", profile]) == 0
    assert "not settled yet" in capsys.readouterr().err

    trace = str(tmp_path / "1.txt")
    assert main(["guard", "score", profile, trace]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["guard", "score", profile, trace, "--force"]) == 0
