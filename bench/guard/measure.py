"""bench/guard/measure.py FOLDER: what the guard finds in a set that record.py made, how fast it is, and what it takes.

Two million calls of the set, as runs of one program, are learned and judged, once each: seconds of the processor, the
largest resident size, the size of the profile. Then `skep guard evaluate`, on the set as it is.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
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
    train, normal, attack = (str(folder / part) for part in ("train", "normal", "attack"))
    print(json.dumps(evaluate(train, normal, attack, "x86_64"), indent=1))


if __name__ == "__main__":
    main()
