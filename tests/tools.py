"""Writes docs/tools.md, the table of the gallery: python -m tests.tools FOLDER

What a tool is for is what its page says. Where it is tested is what the tests said of themselves: FOLDER/FLOOR.tools
has the tools that were run by those that passed (see tests/conftest.py). A floor without such a file keeps what it has.

    python -m tests.tools --check FOLDER

fails if the page says of a tool that it is tested where no test ran it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from skep.cli.tools import AREAS, area_of
from skep.session.api import tool_folder, tool_names
from tests.hooks import FLOORS, tested_of

PAGE = Path(__file__).parent.parent / "docs" / "tools.md"
HEAD = """\
# Tools

The gallery, and the kernels on which a test of each tool passed: Linux 6.18 (the machine that the tests are written on,
which has no kprobes, fentry and LSM), 6.12 and 6.1 (Debian's kernels under QEMU). `tests/tools.py` writes this page
from the tools' own pages and from what the tests ran; `make test` fails where it promises more. `skep tools NAME` shows
a tool's page, `skep run NAME` runs it.
"""
# From here on the page is written by hand, and by bench/report.py.
REST = "## Beside libbpf-tools\n"


def rest_of(text: str) -> str:
    """What a page says beside.

    Args:
        text: of the page.
    """
    return "".join(text.partition(REST)[1:])


def page(tested: Mapping[str, set[str]], rest: str) -> str:
    """The page.

    Args:
        tested: the tools that tests ran, by floor.
        rest: how it ends.
    """
    areas: dict[str, list[str]] = {area: [] for area in AREAS}
    for name in tool_names():
        text = Path(tool_folder(name), f"{name}.md").read_text().splitlines()
        cells = [f"`{name}`", text[2], *("tested" if name in tested[floor] else "" for floor in FLOORS)]
        areas[area_of(text)].append(f"| {' | '.join(cells)} |")
    head = f"| Tool | What it does | {' | '.join(FLOORS.values())} |\n|{' --- |' * (2 + len(FLOORS))}"
    tables = ["\n".join([f"## {area[0].upper()}{area[1:]}\n", head, *rows]) for area, rows in areas.items() if rows]
    return "\n\n".join([HEAD.rstrip("\n"), *tables, rest]).rstrip("\n") + "\n"


def read_results(folder: Path) -> dict[str, set[str]]:
    """The tools that tests ran, by floor; a floor that none ran on is not there.

    Args:
        folder: that they wrote to.
    """
    paths = {floor: folder / f"{floor}.tools" for floor in FLOORS}
    return {floor: set(path.read_text().split()) for floor, path in paths.items() if path.exists()}


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 if the page promises what no test ran."""
    results = read_results(Path(arguments[-1]))
    text = PAGE.read_text() if PAGE.exists() else ""
    promised = tested_of(text)
    if arguments[0] != "--check":
        PAGE.write_text(page(promised | results, rest_of(text)))
        return 0
    missing = [
        f"{name} on {FLOORS[floor]}" for floor in FLOORS for name in sorted(promised[floor] - results.get(floor, set()))
    ]
    for one in missing:
        print(f"docs/tools.md promises a test of {one}, and none ran it")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
