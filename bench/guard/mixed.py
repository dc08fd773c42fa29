"""bench/guard/mixed.py SET FOLDER [--seed N]: a set of the form of published ones, from one that record.py made.

Published sets have one folder of normal traces, of many programs that nobody tells apart; what is called normal later
has programs in it that were hardly seen before; attacks are whole traces, some instances with many of them. So here:

    FOLDER/train/NNNN.txt        833 stretches of runs of eight programs, some of which are frequent, one very rare
    FOLDER/normal/NNNN.txt       2000 more, in other shares: the rare one is now one in 25
    FOLDER/attack/KIND_N/NN.txt  720 in 60 instances: of the other two programs, of the ends of stand-ins for attacks,
                                 and of the eight with a stretch of the two spliced in

Stretches are 75 to 4,500 calls long, log-normally, a third of them from the start of a run. Which programs are which
follows from the seed. Then `skep guard evaluate --train FOLDER/train --normal FOLDER/normal --attack FOLDER/attack
--by-instance` tells how well one profile of all of them does.
"""

from __future__ import annotations

import argparse
import math
import random
from functools import cache
from pathlib import Path

TRAIN, NORMAL, INSTANCES, OF_EACH = 833, 2000, 60, 12
SHORTEST, LONGEST = 75, 4500
OFTEN_LATER, OFTEN_BEFORE = 0.04, 0.004
# exit_group of x86-64: the end of a stand-in, if calls follow.
EXIT = "231"


@cache
def calls(path: Path) -> list[str]:
    """The calls of a trace."""
    return path.read_text().split()


def length(pick: random.Random) -> int:
    """How long a stretch is."""
    return min(max(int(math.exp(pick.gauss(math.log(300), 0.8))), SHORTEST), LONGEST)


def stretch(pick: random.Random, path: Path, most: int) -> list[str]:
    """Calls from the start of a run, or from anywhere in it."""
    trace = calls(path)
    first = 0 if pick.random() < 1 / 3 else pick.randint(0, max(len(trace) - most, 0))
    return trace[first : first + most]


def stand_in(pick: random.Random, path: Path, most: int) -> list[str]:
    """The calls before and behind the end of a stand-in, which was spliced into a run."""
    trace = calls(path)
    end = trace.index(EXIT) + 1 + pick.randint(0, most // 2)
    return trace[max(end - most, 0) : end]


def spliced(pick: random.Random, path: Path, foreign: Path, most: int) -> list[str]:
    """A stretch with a shorter one of another program in it."""
    base = stretch(pick, path, most)
    place = pick.randint(0, len(base))
    return [*base[:place], *stretch(pick, foreign, int(most * pick.uniform(0.1, 0.5))), *base[place:]]


def write(path: Path, trace: list[str]) -> None:
    """One trace to its file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(" ".join(trace) + "\n")


def main() -> None:
    """Draws the programs, then the traces."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=12)
    options = parser.parse_args()
    pick = random.Random(options.seed)
    programs = sorted(path.name for path in (options.set / "train").iterdir())
    pick.shuffle(programs)
    foreign, rare, known = programs[:2], programs[2], programs[3:]
    parts = ("train", "normal")
    of = {(part, name): sorted((options.set / part / name).iterdir()) for part in parts for name in programs}
    stand_ins = sorted(path for path in (options.set / "attack").glob("*/*/*.txt") if path.parent.name not in programs)
    before = [1 / (place + 1) for place in range(len(known))]
    later = pick.sample(before, len(before))
    shares = ((TRAIN, before, OFTEN_BEFORE), (NORMAL, later, OFTEN_LATER))
    for part, (number, weights, seldom) in zip(parts, shares, strict=True):
        for place in range(number):
            name = rare if pick.random() < seldom else pick.choices(known, weights)[0]
            write(options.folder / part / f"{place:04}.txt", stretch(pick, pick.choice(of[part, name]), length(pick)))
    for instance in range(INSTANCES):
        kind, donor = ("foreign", "stand-in", "spliced")[instance % 3], pick.choice(foreign)
        victim, ended = pick.choices(known, before)[0], pick.sample(stand_ins, OF_EACH)
        for place in range(OF_EACH):
            other = pick.choice(of["normal", donor])
            if kind == "foreign":
                trace = stretch(pick, other, length(pick))
            elif kind == "stand-in":
                trace = stand_in(pick, ended[place], length(pick))
            else:
                trace = spliced(pick, pick.choice(of["normal", victim]), other, length(pick))
            write(options.folder / "attack" / f"{kind}_{instance:02}" / f"{place:02}.txt", trace)


if __name__ == "__main__":
    main()
