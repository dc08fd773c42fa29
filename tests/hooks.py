"""Writes docs/hooks.md, the table of what skep attaches: python tests/hooks.py FOLDER

What is said of a kind is what the code says: its sections and what they leave open (`skep.spec.sections`), and the
docstring of the module that attaches it. Where it is tested is what the tests said of themselves: those of tests/kernel
note the kinds that they attach to, and FOLDER/FLOOR.hooks has those of the tests that passed (see tests/conftest.py).
Where a kind is not tested, the reason stands below; one without either is an error.

    python tests/hooks.py --check FOLDER

fails if the page says of a kind that it is tested where no test attached it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from skep.kernel.link import MODULES
from skep.spec.sections import NOTHING_ATTACHES, kinds, parse

PAGE = Path(__file__).parent.parent / "docs" / "hooks.md"
FLOORS = {"host": "6.18", "6.12": "6.12", "6.1": "6.1"}
"""Floor -> how the page calls it."""

_KPROBES = "its kernel is built without CONFIG_KPROBES"
_TRAMPOLINES = "its kernel refuses them (EPERM)"
# (kinds, floors, why no test attaches them there); the first that fits counts.
REASONS = (
    (r"(kprobe|kretprobe)(\.multi|\.session)?|k(ret)?syscall", r"host", _KPROBES),
    (r"fentry|fexit|fmod_ret|lsm|lsm_cgroup", r"host", _TRAMPOLINES),
    (r"kprobe\.session", r"6\.1", "since Linux 6.10"),
    (r"(kprobe|kretprobe)\.multi", r"6\.1", "its kernel is built without CONFIG_FPROBE"),
    (r"uprobe\.session", r"6\.12|6\.1", "since Linux 6.13"),
    (r"tcx/(in|e)gress", r"6\.1", "since Linux 6.6"),
    (r"netfilter", r"6\.1", "since Linux 6.4"),
    (r"cgroup/\w+_unix", r"6\.1", "since Linux 6.7"),
)
HEAD = """\
# Hooks

What `skep run` attaches, and where each kind was tested: on Linux 6.18 (the machine that the tests are written on),
6.12 and 6.1 (Debian's kernels under QEMU). `tests/hooks.py` writes this page from the code and from what the tests
attached; `make test` fails where it promises more.

A program's section names its hook. What the section leaves open is said with an option (`--attach` sets any target),
and `skep info FILE` tells what is open, and what this kernel lacks.
"""


def page(tested: Mapping[str, set[str]]) -> str:
    """The page.

    Args:
        tested: the kinds that tests attached to, by floor.
    """
    modules: dict[str, list[str]] = {}
    for kind in kinds():
        modules.setdefault("" if _is_later(kind) else MODULES.get(kind, "cgroup"), []).append(kind)
    later = modules.pop("", [])
    parts = [HEAD]
    for module, members in modules.items():
        doc = import_module(f"skep.kernel.link.{module}").__doc__ or ""
        since = re.search(r"Minimum kernel:\s+(.*?)\.?\s+Source:", doc, re.DOTALL)
        assert since is not None, f"skep.kernel.link.{module} does not say its minimum kernel"
        rows = [_row(kind, tested) for kind in members]
        head = ["Kind", "Section", "Needs, where the section does not say it", *FLOORS.values()]
        table = "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
        parts.append(
            f"## {module}\n\n{_code(doc.splitlines()[0])}\n\nMinimum kernel: {_code(' '.join(since[1].split()))}.\n\n"
            f"{table}\n"
        )
    names = ", ".join(f"`{kind}`" for kind in later)
    parts.append(f"## Not yet\n\nOf these, {NOTHING_ATTACHES}: {names}.\n")
    return "\n".join(parts)


def _is_later(kind: str) -> bool:
    return parse(kind).lacks is None


def _row(kind: str, tested: Mapping[str, set[str]]) -> list[str]:
    sections = " ".join(f"`{name}`" for name in kinds()[kind])
    needs = parse(kind).needs.removeprefix("needs ") or "nothing"
    words, _, option = needs.partition(": ")
    cells = ["tested" if kind in tested[floor] else f"no: {_reason(kind, floor)}" for floor in FLOORS]
    return [f"`{kind}`", sections, f"{words}: `{option}`" if option else words, *cells]


def _reason(kind: str, floor: str) -> str:
    for which, floors, why in REASONS:
        if re.fullmatch(which, kind) and re.fullmatch(floors, floor):
            return why
    sys.exit(f"no test attaches {kind} on {floor}, and tests/hooks.py gives no reason")


def _code(text: str) -> str:
    """Docstrings write code as ``code``."""
    return text.replace("``", "`")


def tested_of(text: str) -> dict[str, set[str]]:
    """What a page says of where kinds of hooks, or tools, are tested, by floor.

    Args:
        text: of the page.
    """
    found: dict[str, set[str]] = {floor: set() for floor in FLOORS}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            for floor, cell in zip(FLOORS, cells[-len(FLOORS) :], strict=True):
                found[floor] |= {cells[0].strip("`")} if cell == "tested" else set()
    return found


def read_results(folder: Path) -> dict[str, set[str]]:
    """What the tests attached, by floor.

    Args:
        folder: that they wrote to.
    """
    paths = {floor: folder / f"{floor}.hooks" for floor in FLOORS}
    return {floor: set(path.read_text().split()) if path.exists() else set() for floor, path in paths.items()}


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 if the page promises what no test attached."""
    results = read_results(Path(arguments[-1]))
    if arguments[0] != "--check":
        PAGE.write_text(page(results))
        return 0
    promised = tested_of(PAGE.read_text())
    missing = [f"{kind} on {FLOORS[floor]}" for floor in FLOORS for kind in sorted(promised[floor] - results[floor])]
    for one in missing:
        print(f"docs/hooks.md promises a test of {one}, and none attached it")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
