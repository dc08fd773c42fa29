"""bench/guard/record.py FOLDER [--seed N]: records ten programs with skep, and makes the set that judges the guard.

    FOLDER/train/PROGRAM/NNN.txt             199 runs, to learn from
    FOLDER/normal/PROGRAM/NNN.txt            150 more, each with other work
    FOLDER/attack/PROGRAM/KIND/NNN.txt       40 more, each with foreign behaviour spliced in at a random place

A file holds the numbers of one run's system calls, thread by thread in the order of birth. In half of the attacks KIND
is a stand-in of workloads.py: its last 40 to 400 calls (before them lies its interpreter's start). In the other half it
is another of the ten programs: 100 to 400 calls from anywhere in it. What belongs where follows from the seed alone and
was so before any model was made. Needs root, as `skep run` does, and some twenty minutes on two CPUs.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
# With 199 runs, one in a hundred is what two of them exceed: a threshold learned from fewer is decided by a single run.
TRAIN, NORMAL, ATTACK, STAND_INS = 199, 150, 40, 40
# One recording has no room for all of it: skep follows 16,384 tasks.
PARTS = 4
Runs = dict[str, dict[int, list[int]]]


def record(seed: int, runs: int, stand_ins: int) -> Runs:
    """Program -> run -> its system calls, as `skep run behaviour` saw them."""
    found: Runs = defaultdict(dict)
    skep = [str(Path(sys.executable).with_name("skep")), "run", "behaviour", "--as-root", "-o", "json"]
    skep += ["--map", f"events.max_entries={64 << 20}", "--fields", "ts,pid,tid,ppid,syscall"]
    for part in range(PARTS):
        with TemporaryDirectory() as folder:
            log, events = Path(folder, "log"), Path(folder, "events")
            workloads = [HERE / "workloads.py", seed, runs, stand_ins, part, PARTS, log]
            with open(events, "wb") as file:
                command = [*skep, "--", sys.executable, *map(str, workloads)]
                finished = subprocess.run(command, check=False, stdout=file, stderr=subprocess.PIPE)
            said = finished.stderr.decode()
            if finished.returncode or ", 0 lost" not in said or "not followed" in said:
                sys.exit(f"{said}\nrecord.py: the recording is not whole")
            for name, numbered in _runs(events, log).items():
                found[name] |= numbered
    return found


def _runs(events: Path, log: Path) -> Runs:
    """Gives each call to the run whose process made it, or an ancestor of that process."""
    spans = [line.split() for line in log.read_text().splitlines()]
    ordered = sorted((int(start), int(end), int(pid), name, int(number)) for name, number, pid, start, end in spans)
    found: Runs = defaultdict(dict)
    calls = sorted(_calls(events))
    position = 0
    for start, end, root, name, number in ordered:
        family, threads = {root}, defaultdict(list)
        while position < len(calls) and calls[position][0] < start:
            position += 1
        while position < len(calls) and calls[position][0] <= end:
            _, pid, tid, parent, call = calls[position]
            if pid in family or parent in family:
                family.add(pid)
                threads[tid].append(call)
            position += 1
        found[name][number] = [call for thread in threads.values() for call in thread]
        if not found[name][number]:
            sys.exit(f"record.py: no call of run {number} of {name} was seen")
    return found


def _calls(events: Path) -> list[tuple[int, int, int, int, int]]:
    with open(events, encoding="ascii") as lines:
        rows = (json.loads(line) for line in lines)
        return [(row["ts"], row["pid"], row["tid"], row["ppid"], row["syscall"]) for row in rows]


def splice(pick: random.Random, run: list[int], donor: list[int], *, end: bool) -> list[int]:
    """A run with calls of another in it, from the donor's end or from anywhere."""
    length = min(pick.randint(40 if end else 100, 400), len(donor))
    first = len(donor) - length if end else pick.randint(0, len(donor) - length)
    place = pick.randint(0, len(run))
    return [*run[:place], *donor[first : first + length], *run[place:]]


def write(path: Path, calls: list[int]) -> None:
    """One trace to its file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(" ".join(map(str, calls)) + "\n")


def main() -> None:
    """Records, splits, splices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=12)
    options = parser.parse_args()
    found = record(options.seed, TRAIN + NORMAL + ATTACK, STAND_INS)
    stand_ins = sorted(name for name in found if len(found[name]) == STAND_INS)
    programs = sorted(set(found) - set(stand_ins))
    for program in programs:
        for number, calls in found[program].items():
            if number < TRAIN + NORMAL:
                part = "train" if number < TRAIN else "normal"
                write(options.folder / part / program / f"{number:03}.txt", calls)
                continue
            pick = random.Random(f"{options.seed} splice {program} {number}")
            end = number % 2 == 0
            kind = pick.choice(stand_ins if end else [name for name in programs if name != program])
            donor = found[kind][pick.randrange(STAND_INS) if end else pick.randrange(TRAIN, TRAIN + NORMAL)]
            write(options.folder / "attack" / program / kind / f"{number:03}.txt", splice(pick, calls, donor, end=end))


if __name__ == "__main__":
    main()
