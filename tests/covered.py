"""Prints how many branches of each room the tests take: python tests/covered.py FOLDER

FOLDER holds what coverage.py noted, of tests/unit (unit.coverage.*) and of the other tests on this machine
(compiled.coverage.*, kernel.coverage.*). Commands that tests start are not followed: the rooms to the right are reached
more than this says. Fails if tests/unit takes too few of a pure room: what needs neither root nor a kernel has no
reason to go untested.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from coverage import Coverage

PURE = ("base", "spec", "view", "guard")
ENOUGH = 95.0
"""Percent of the branches of each pure room."""


def branches(folder: Path, *names: str) -> dict[str, float]:
    """Room -> percent of its branches that were taken.

    Args:
        folder: of the data.
        names: of what was noted.
    """
    noted = Coverage(data_file=None)
    noted.combine([str(path) for name in names for path in folder.glob(f"{name}.coverage.*")], keep=True)
    with TemporaryDirectory() as scratch:
        noted.json_report(outfile=f"{scratch}/report")
        files = json.loads(Path(scratch, "report").read_text())["files"]
    there: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    for path, file in files.items():
        room, _, inside = path.rpartition("src/skep/")[2].partition("/")
        # What of the guard needs a kernel is no part of the pure room.
        room += ".live" if inside.startswith("live/") else ""
        if inside:
            there[room] += file["summary"]["num_branches"]
            taken[room] += file["summary"]["covered_branches"]
    return {room: 100 * taken[room] / there[room] for room in sorted(there) if there[room]}


def main(folder: Path) -> int:
    """Returns the exit code: 1 if a pure room is not tested enough."""
    unit = branches(folder, "unit")
    whole = branches(folder, "unit", "compiled", "kernel")
    print("branches taken by tests/unit, and by all tests on this machine")
    for room, percent in whole.items():
        print(f"{room:10}{unit.get(room, 0):6.1f} %{percent:6.1f} %")
    short = [room for room in PURE if unit[room] < ENOUGH]
    for room in short:
        print(f"of skep.{room} tests/unit takes {unit[room]:.1f} % of the branches; {ENOUGH:.0f} % are asked for")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
