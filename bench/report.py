"""What a benchmark says: rows of values, their ratios, and the machine that they were measured on.

Run by itself it writes the results that bench/results holds into the table of README.md.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
# The table of README.md stands between these.
FIRST, LAST = "<!-- bench/report.py writes from here -->\n", "<!-- to here -->\n"
RESULTS = Path(__file__).with_name("results")


class Row:
    """One line: the values of all runs, in their order.

    Args:
        name: what was measured.
        values: one a run.
        unit: theirs.
    """

    def __init__(self, name: str, values: list[float], unit: str) -> None:
        self.name = name
        self.values = values
        self.unit = unit

    def __str__(self) -> str:
        low, middle, high = min(self.values), statistics.median(self.values), max(self.values)
        digits = 3 if self.unit in {"s", "M/s"} else 1
        return f"{self.name:52}{low:11.{digits}f}{middle:11.{digits}f}{high:11.{digits}f} {self.unit}"


def ratio(name: str, theirs: list[float], ours: list[float]) -> Row:
    """How many times ours a peer takes. Runs alternate: each pair of neighbours shared the state of the machine."""
    return Row(f"ratio to {name}", [their / our for their, our in zip(theirs, ours, strict=True)], "x")


def report(name: str, rows: list[Row], *, as_json: bool) -> None:
    """Prints the rows, and keeps them in bench/results.

    Args:
        name: of the benchmark.
        rows: its rows.
        as_json: prints one JSON object in place of a table.
    """
    result = {
        "bench": name,
        "date": time.strftime("%Y-%m-%d"),
        "commit": _output("git", "rev-parse", "--short", "HEAD"),
        "machine": _machine(),
        "rows": [
            {
                "name": row.name,
                "unit": row.unit,
                "median": round(statistics.median(row.values), 4),
                "runs": [round(value, 4) for value in row.values],
            }
            for row in rows
        ],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    if as_json:
        print(json.dumps(result))
        return
    print(f"{f'{name}, {len(rows[0].values)} runs each':52}{'min':>11}{'median':>11}{'max':>11}")
    for row in rows:
        print(row)
    print(f"on {result['machine']}")


def _machine() -> str:
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "?")
    return f"Linux {os.uname().release}, {os.cpu_count()} x {model}, load {os.getloadavg()[0]:.1f}"


def _output(*command: str) -> str:
    folder = Path(__file__).parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return done.stdout.strip()


def write_table() -> None:
    """Writes the results into README.md."""
    lines = ["| `bench/run` | what | median | spread |\n", "|---|---|---|---|\n"]
    machines: dict[str, None] = {}
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text())
        machines[f"{result['machine'].partition(', load')[0]}, {result['date']}, commit {result['commit']}"] = None
        for row in result["rows"]:
            low, high = min(row["runs"]), max(row["runs"])
            digits = 3 if row["unit"] in {"s", "M/s"} else 1
            spread = f"{low:,.{digits}f} to {high:,.{digits}f}"
            lines.append(
                f"| {result['bench']} | {row['name']} | {row['median']:,.{digits}f} {row['unit']} | {spread} |\n"
            )
    text = README.read_text()
    before, after = text.partition(FIRST)[0], text.partition(LAST)[2]
    README.write_text(f"{before}{FIRST}{''.join(lines)}\nOn {'; '.join(machines)}.\n{LAST}{after}")


if __name__ == "__main__":
    write_table()
