"""Evaluates the guard on labelled traces: what it finds, at which cost, on runs that it was not trained on.

A folder of training traces is one program; one that holds only folders is one program each, and the folders of normal
and attack traces have the same names. Thresholds, calibration and profiles come from the training runs alone.
"""

from __future__ import annotations

import os
import time

import numpy as np

from skep.base.errors import UsageError
from skep.guard.judging import Judge
from skep.guard.profile import learn
from skep.guard.reading import read_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Array = np.ndarray[Any, Any]

__all__ = ["Scores", "evaluate", "metrics", "score_folders"]

_ASKED = 0.01
_SAMPLES = 200
_SEED = 12


class Scores:
    """What came of judging labelled runs.

    Args:
        normal: the rarity of each normal run.
        attack: of each attack.
        instances: which instance of an attack each belongs to.
        same: for each run, normal ones first, a number that equal runs share.
        calls_per_second: how fast they were judged.
    """

    def __init__(self, normal: Array, attack: Array, instances: Array, same: Array, calls_per_second: float) -> None:
        self.normal = normal
        self.attack = attack
        self.instances = instances
        self.same = same
        self.calls_per_second = calls_per_second


def evaluate(train: str, normal: str, attack: str, architecture: str, *, by_instance: bool = False) -> dict[str, Any]:
    """Trains on one folder, judges two others, and tells how well they were told apart.

    Args:
        train: a folder of normal traces, to learn from.
        normal: a folder of other normal traces.
        attack: a folder of traces with attacks; each folder in it is one instance.
        architecture: of all of them.
        by_instance: draw whole instances in the bootstrap, since the traces of one are alike.

    Returns:
        Of each measure its value and, under its name with ``_interval``, the middle 95 % of 200 bootstrap samples.

    Raises:
        UsageError: a folder is missing or empty, a file is no trace, or there is too little to train on.
    """
    return metrics(score_folders(train, normal, attack, architecture), by_instance=by_instance)


def score_folders(train: str, normal: str, attack: str, architecture: str) -> Scores:
    """Trains on one folder and judges two others."""
    rarities: dict[str, list[float]] = {"normal": [], "attack": []}
    seen: dict[str, list[tuple[object, ...]]] = {"normal": [], "attack": []}
    instances = []
    calls, seconds = 0, 0.0
    for program in _programs(train, normal, attack):
        judge = Judge(learn(read_folder(os.path.join(train, program), architecture), architecture), force=True)
        for part, folder in (("normal", normal), ("attack", attack)):
            base = os.path.join(folder, program)
            for run in read_folder(base, architecture):
                started = time.perf_counter()
                rarities[part].append(judge.judge(run).rarity)
                seconds += time.perf_counter() - started
                calls += run.calls
                seen[part].append((program, *(trace.calls.tobytes() for trace in run.traces)))
                if part == "attack":
                    inner = os.path.relpath(run.name, base).split(os.sep)
                    instances.append("/".join([program, *inner[:1]]) if len(inner) > 1 else run.name)
    numbers: dict[Any, int] = {}
    same = np.array([numbers.setdefault(key, len(numbers)) for key in seen["normal"] + seen["attack"]])
    _, instance = np.unique(instances, return_inverse=True)
    return Scores(
        np.array(rarities["normal"]), np.array(rarities["attack"]), instance, same, calls / max(seconds, 1e-9)
    )


def _programs(train: str, normal: str, attack: str) -> list[str]:
    """The folders of the programs; "" where all traces are of one."""
    entries = list(os.scandir(train)) if os.path.isdir(train) else []
    if not entries or any(entry.is_file() for entry in entries):
        return [""]
    names = sorted(entry.name for entry in entries)
    for folder in (normal, attack):
        missing = [name for name in names if not os.path.isdir(os.path.join(folder, name))]
        if missing:
            raise UsageError(
                f"{folder} has no folder {missing[0]}, and {train} has",
                remedy="Each program has a folder of its name in all three, or all traces are of one program.",
            )
    return names


def metrics(scores: Scores, *, by_instance: bool = False) -> dict[str, Any]:
    """How well the scores tell attacks from normal runs: see `evaluate`."""
    pick = np.random.default_rng(_SEED)
    found = _measure(scores)
    samples = [_measure(_drawn(scores, pick, by_instance=by_instance)) for _ in range(_SAMPLES)]
    told: dict[str, Any] = {}
    for name, value in found.items():
        told[name] = round(value, 4)
        low, high = np.quantile([sample[name] for sample in samples], (0.025, 0.975))
        told[f"{name}_interval"] = [round(float(low), 4), round(float(high), 4)]
    return told | {
        "calls_per_second": round(scores.calls_per_second),
        "normal_runs": len(scores.normal),
        "attack_runs": len(scores.attack),
        "instances": int(scores.instances.max()) + 1,
    }


def _measure(scores: Scores) -> dict[str, float]:
    normal, attack = scores.normal, scores.attack
    asked = -np.log(_ASKED)
    caught = attack >= asked
    once_normal = np.unique(scores.same[: len(normal)], return_index=True)[1]
    once_attack = np.unique(scores.same[len(normal) :], return_index=True)[1]
    return {
        "auc": _auc(normal, attack),
        "auc_without_duplicates": _auc(normal[once_normal], attack[once_attack]),
        "detection_at_1": _detection(normal, attack, 0.01),
        "detection_at_5": _detection(normal, attack, 0.05),
        "detection_at_10": _detection(normal, attack, 0.10),
        "calibrated_false_positives": float((normal >= asked).mean()),
        "calibrated_detection": float(caught.mean()),
        "instances_detected": len(np.unique(scores.instances[caught])) / len(np.unique(scores.instances)),
    }


def _auc(normal: Array, attack: Array) -> float:
    """The probability that an attack is rarer than a normal run; of equal ones half."""
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, attack, "left") + np.searchsorted(ordered, attack, "right")
    return float(below.mean() / 2 / len(normal))


def _detection(normal: Array, attack: Array, share: float) -> float:
    """The share of attacks above a threshold that at most such a share of normal runs exceeds."""
    threshold = np.sort(normal)[::-1][min(int(share * len(normal)), len(normal) - 1)]
    return float((attack > threshold).mean())


def _drawn(scores: Scores, pick: np.random.Generator, *, by_instance: bool) -> Scores:
    """As many runs drawn with replacement, or as many instances with all their runs."""
    normal = pick.integers(0, len(scores.normal), len(scores.normal))
    if by_instance:
        drawn = pick.integers(0, scores.instances.max() + 1, scores.instances.max() + 1)
        attack = np.concatenate([np.flatnonzero(scores.instances == instance) for instance in drawn])
    else:
        attack = pick.integers(0, len(scores.attack), len(scores.attack))
    same = np.append(scores.same[: len(scores.normal)][normal], scores.same[len(scores.normal) :][attack])
    return Scores(scores.normal[normal], scores.attack[attack], scores.instances[attack], same, scores.calls_per_second)
