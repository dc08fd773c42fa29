"""What `make check` holds beside code: the licences that files state, and that pre-commit runs the same checks."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "src" / "skep"

# What goes into the kernel, or into kernel files that others write: the kernel's licence is offered beside ours.
KERNEL_FILES = sorted(
    {
        *PACKAGE.rglob("*.bpf.c"),
        *(path for room in ("spec/include", "tools", "guard") for path in (PACKAGE / room).rglob("*.h")),
    }
)
HEADER = re.compile(r"(// |/\* )SPDX-License-Identifier: \(GPL-2\.0-only OR Apache-2\.0\)( \*/)?\n")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_all_is_under_the_licence_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    assert (ROOT / "LICENSE").read_text().split()[:5] == ["Apache", "License", "Version", "2.0,", "January"]


@pytest.mark.parametrize("path", KERNEL_FILES, ids=_name)
def test_a_kernel_file_offers_the_kernels_licence_too(path: Path) -> None:
    text = path.read_text()

    assert HEADER.match(text), "its first line states no licence, or another"
    # What the kernel is told: it decides which helpers a program may call.
    assert path.suffix == ".h" or re.search(r'^char \w+\[\] SEC\("license"\) = "Dual BSD/GPL";$', text, re.MULTILINE)


def test_no_other_file_states_a_licence_of_its_own() -> None:
    others = {path for kind in ("py", "pyi", "c", "h", "sh") for path in PACKAGE.rglob(f"*.{kind}")} - {*KERNEL_FILES}
    # cffi makes it when the extension is built.
    others -= {PACKAGE / "_native/_libbpf.c"}

    assert [_name(path) for path in others if "SPDX-" in path.read_text()] == []


def test_pre_commit_runs_what_make_check_runs() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\ncheck: ")[2].partition("\n\n")[0]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()

    assert re.findall(r"^ +entry: (.+)$", hooks, re.MULTILINE) == re.findall(r"^\t(.+)$", recipe, re.MULTILINE)
    # Each checks the whole tree, in the environment that is there.
    assert hooks.count("- id: ") == hooks.count("language: system") == hooks.count("pass_filenames: false")
