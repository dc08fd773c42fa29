"""What a benchmark says: rows of values, their ratios, and the machine that they were measured on.

Run by itself it writes the results that bench/results holds into the tables of README.md and bench/README.md, and what
tools cost into that of docs/tools.md.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

_DIGITS = {"s": 3, "M/s": 3, "share": 3, "in all": 0}
README = Path(__file__).parents[1] / "README.md"
BARS_PAGE = Path(__file__).with_name("README.md")
TOOLS_PAGE = Path(__file__).parents[1] / "docs/tools.md"
# What has to be reached: the benchmark, its row, and the most (<=) or the least (>=) that the median may be.
BARS = (
    ("startup", "skep run opensnoop: attached", "<=", 0.1),
    ("startup", "ratio to bpftrace, shortest one-liner", ">=", 3),
    ("bcc", "ratio to BCC's opensnoop", ">=", 8),
    ("scripts", "ratio to BCC's hello, nothing cached", ">=", 3),
    ("scripts", "ratio to BCC's hello, new script", ">=", 3),
    ("scripts", "ratio to BCC's hello", ">=", 8),
    ("scripts", "ratio to BCC's hello, largest", ">=", 3),
    ("scripts", "ratio to BCC's gethostlatency, nothing cached", ">=", 3),
    ("scripts", "ratio to BCC's gethostlatency, new script", ">=", 3),
    ("scripts", "ratio to BCC's gethostlatency", ">=", 8),
    ("scripts", "ratio to BCC's gethostlatency, largest", ">=", 3),
    ("scripts", "ratio to BCC's memleak, nothing cached", ">=", 3),
    ("scripts", "ratio to BCC's memleak, new script", ">=", 3),
    ("scripts", "ratio to BCC's memleak", ">=", 8),
    ("scripts", "ratio to BCC's memleak, largest", ">=", 3),
    ("memory", "skep run opensnoop", "<=", 35),
    ("memory", "skep from Python: NumPy batches", "<=", 75),
    ("ring", "skep: arrays, a column used", "<=", 12),
    ("ring", "ratio to C on libbpf, of arrays", ">=", 1),
    ("ring", "ratio to C on libbpf, a column used", ">=", 1),
    ("ring", "few records beside many, a record", "<=", 1.2),
    ("rows", "skep: tuples", "<=", 120),
    ("rows", "skep: dicts with meaning", "<=", 800),
    ("ndjson", "skep: NDJSON, on one CPU", ">=", 0.6),
    ("loss", "records lost", "<=", 0),
    ("loss", "CPU time of the reader", "<=", 35),
    ("steady", "growth since the first minute", "<=", 1),
    ("bcc", "ratio to BCC's perf buffer", ">=", 5),
    ("bcc", "skep: records that nobody accounts for", "<=", 0),
    ("maps", "skep: read to Arrow", "<=", 0.6),
    ("maps", "ratio to a walk", ">=", 5),
    ("guard", "watched, above nothing", "<=", 70),
    ("guard", "unwatched, above nothing", "<=", 20),
    ("guard", "watched among 1,000, of watched alone", "<=", 1.2),
    ("guard", "1,000 profiles of 2,000 sequences", "<=", 300),
    ("guard", "watched calls a second, on two CPUs", ">=", 4),
    ("guard", "of these not accounted for", "<=", 0),
    ("guard", "CPU time of the guard at 500,000 calls a second", "<=", 3),
    ("views", "1,000,000 records to a table of the first 20", "<=", 5),
    ("views", "1,000,000 records to a table of the 20 largest", "<=", 5),
    ("views", "1,000,000 records to a histogram", "<=", 5),
    ("views", "1,000,000 records to folded stacks", "<=", 5),
    ("views", "1,000,000 records to Parquet", "<=", 5),
    ("views", "the same, largest: a table of the 20 largest", "<=", 300),
    ("views", "the same, largest: a histogram", "<=", 300),
    ("views", "the same, largest: folded stacks", "<=", 300),
    ("views", "the same, largest: Parquet", "<=", 300),
    ("views", "live groups: CPU time", "<=", 25),
    ("guard", "requests of a web server, of those without a guard", ">=", 0.95),
)
# The tables stand between these.
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
        each = (min(self.values), statistics.median(self.values), max(self.values))
        return f"{self.name:52}{''.join(f'{_number(value, self.unit):>12}' for value in each)} {self.unit}"


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
    print(f"{f'{name}, {len(rows[0].values)} runs each':52}{'min':>12}{'median':>12}{'max':>12}")
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


def write_tables() -> None:
    """Writes results into README.md, what tools cost into docs/tools.md, and what has a bar into bench/README.md."""
    lines = ["| `bench/run` | what | median | spread |\n", "|---|---|---|---|\n"]
    machines: dict[str, None] = {}
    found: dict[tuple[str, str], tuple[float, str]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text())
        when = f"{result['date']}, commit {result['commit']}"
        if result["bench"] == "tools":
            _write(TOOLS_PAGE, [*_tools(result["rows"]), f"\nOn {result['machine']}, {when}.\n"])
            continue
        where = f"{result['machine'].partition(', load')[0]}, {when}"
        machines[where] = None
        for row in result["rows"]:
            low, high = min(row["runs"]), max(row["runs"])
            unit, median = row["unit"], row["median"]
            found[result["bench"], row["name"]] = median, unit
            spread = f"{_number(low, unit)} to {_number(high, unit)}"
            lines.append(f"| {result['bench']} | {row['name']} | {_number(median, unit)} {unit} | {spread} |\n")
    _write(README, [*lines, f"\nOn {'; '.join(machines)}.\n"])
    lines = ["| `bench/run` | what | bar | median | |\n", "|---|---|---|---|---|\n"]
    for bench, name, sense, bar in BARS:
        if (bench, name) in found:
            median, unit = found[bench, name]
            reached = median <= bar if sense == "<=" else median >= bar
            measured = f"{_number(median, unit)} {unit} | {'reached' if reached else 'not reached'}"
        else:
            measured = "not measured |"
        lines.append(f"| {bench} | {name} | {sense} {bar:g} | {measured} |\n")
    _write(BARS_PAGE, lines)


def _tools(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each tool: its rows are called ``TOOL, EVENT: WHAT``, or ``TOOL: maps`` alone."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        name, _, what = row["name"].partition(": ")
        found.setdefault(name, {})[what] = row
    heads = ("", "event", "added, ns", "spread", "libbpf-tools, ns", "maps, kB", "CPU, %", "events a second")
    lines = [f"| {' | '.join(heads)} |\n", f"|{'---|' * len(heads)}\n"]
    for name in sorted(found):
        tool, _, event = name.partition(", ")
        values = {what: f"{row['median']:,.0f}" for what, row in found[name].items()}
        if "added" in values:
            runs = found[name]["added"]["runs"]
            values["spread"] = f"{min(runs):,.0f} to {max(runs):,.0f}"
        cells = [tool, event, *(values.get(what, "") for what in ("added", "spread", "theirs", "maps", "CPU", "rate"))]
        lines.append(f"| {' | '.join(cells)} |\n")
    return lines


def _number(value: float, unit: str) -> str:
    return f"{value:,.{_DIGITS.get(unit, 1)}f}"


def _write(page: Path, lines: list[str]) -> None:
    text = page.read_text()
    before, after = text.partition(FIRST)[0], text.partition(LAST)[2]
    page.write_text(f"{before}{FIRST}{''.join(lines)}{LAST}{after}")


if __name__ == "__main__":
    write_tables()
