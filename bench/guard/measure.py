"""bench/guard/measure.py FOLDER: what the guard finds in a set that record.py made, how fast it is, and what it takes.

Two million calls of the set, as runs of one program, are learned and judged, once each: seconds of the processor, the
largest resident size, the size of the profile. Then the alarms of each program's normal runs, by how many a day were
asked for, and the share of attacks that raise one. Then `skep guard evaluate`, on the set as it is.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections import Counter
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from skep.guard.behaviour import Run
from skep.guard.evaluation import evaluate
from skep.guard.judging import Judge
from skep.guard.profile import learn
from skep.guard.reading import read_folder
from skep.guard.store import save

CALLS = 2_000_000
PARTS = ("train", "normal", "attack")
# Calls a second, as the guard takes them of recordings without times.
UNTIMED = 100


def two_million(folder: Path) -> list[Run]:
    """Runs of all programs, the same again if they are too few."""
    runs: list[Run] = []
    calls = 0
    for run in cycle(read_folder(str(folder / "train"), "x86_64") + read_folder(str(folder / "attack"), "x86_64")):
        if calls >= CALLS:
            break
        runs.append(run)
        calls += run.calls
    return runs


def alarms(folder: Path) -> None:
    """Prints how many alarms normal runs raise, and how many attacks."""
    false, found, calls, attacks = Counter[float](), Counter[float](), 0, 0
    for program in sorted(path.name for path in (folder / "train").iterdir()):
        train, normal, attack = (read_folder(str(folder / part / program), "x86_64") for part in PARTS)
        profile = learn(train, "x86_64")
        calls += sum(run.calls for run in normal)
        attacks += len(attack)
        for asked in (100.0, 10.0, 1.0):
            judge = Judge(profile, false_alarms=asked, force=True)
            false[asked] += sum(len(judge.judge(run).alarms) for run in normal)
            found[asked] += sum(bool(judge.judge(run).alarms) for run in attack)
    days = calls / UNTIMED / 86400
    for asked, number in false.items():
        hours, expected, share = days * 24, asked * days, found[asked] / attacks
        print(
            f"{asked:g} false alarms a day: {number} in {hours:.1f} h ({expected:.2g} expected); {share:.1%} of attacks"
        )


def main() -> None:
    """Prints all of it."""
    folder = Path(sys.argv[1])
    runs = two_million(folder)
    started = time.process_time()
    profile = learn(runs, "x86_64")
    learned = time.process_time()
    judge = Judge(profile, force=True)
    for run in runs:
        judge.judge(run)
    judged = time.process_time()
    with TemporaryDirectory() as scratch:
        save(profile, f"{scratch}/profile")
        size = os.path.getsize(f"{scratch}/profile") / 1e6
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = f"learned in {learned - started:.2f} s, judged in {judged - learned:.2f} s"
    print(
        f"{sum(run.calls for run in runs)} calls in {len(runs)} runs: {seconds}; {largest:.0f} MB, {size:.2f} on disk"
    )
    alarms(folder)
    train, normal, attack = (str(folder / part) for part in PARTS)
    print(json.dumps(evaluate(train, normal, attack, "x86_64"), indent=1))


if __name__ == "__main__":
    main()
