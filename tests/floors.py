"""Reads what the floors wrote (see tests/conftest.py): python tests/floors.py FOLDER

Prints a line for each floor, with how long its tests took, and fails if a test was skipped on every floor that
collected it: it then tests nothing.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path


def main(folder: Path) -> int:
    """Returns the exit code: 1 if a test never ran."""
    reasons: dict[str, list[str]] = {}
    ran: set[str] = set()
    for path in sorted(folder.glob("*.json")):
        outcomes = json.loads(path.read_text())
        counts = Counter(outcome for outcome, _ in outcomes.values())
        minutes, seconds = divmod(round(float(path.with_suffix(".seconds").read_text())), 60)
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        print(f"{path.stem:6}{told} in {minutes} min {seconds} s")
        for test, (outcome, reason) in outcomes.items():
            if outcome == "skipped":
                reasons.setdefault(test, []).append(f"{path.stem}: {reason}")
            else:
                ran.add(test)
    never = sorted(test for test in reasons if test not in ran)
    for test in never:
        print(f"never ran: {test}: {'; '.join(reasons[test])}")
    return 1 if never or not ran else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
