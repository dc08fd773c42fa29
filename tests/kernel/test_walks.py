"""CONTRIBUTING.md still leads where it says: each of its walks is followed, word for word, in a copy of the checkout.

Its fences say what to do: one with the path of a file makes that file; a diff with a path changes it; what a console
shows is run, in order, after that.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
WALKS = dict(re.findall(r"^### (\w[\w ]+)\n(.+?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL))
FENCE = re.compile(r"^```(\w+) ?(\S*)\n(.+?)^```$", re.MULTILINE | re.DOTALL)


def changed(text: str, diff: str) -> str:
    """A text with a diff applied, whose lines that are not new stand in the text once, one after the other."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] != "+")
    after = "".join(line[1:] for line in lines if line[0] != "-")
    assert text.count(before) == 1, f"is not there once:\n{before}"
    return text.replace(before, after)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The checkout, with what is built in it, and its virtual environment."""
    for name in ("src", "tests", "docs", "scripts"):
        left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, tmp_path / "copy" / name, ignore=left_out)
    for name in ("CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "pyproject.toml", ".pre-commit-config.yaml"):
        shutil.copy2(ROOT / name, tmp_path / "copy")
    (tmp_path / "copy/.venv").symlink_to(ROOT / ".venv")
    return tmp_path / "copy"


def test_there_is_a_walk_for_each_thing_that_is_added_often():
    assert list(WALKS) == ["A hook", "A meaning", "A view", "A tool"]
    assert all(len(FENCE.findall(walk)) >= 4 for walk in WALKS.values())


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_leads_where_it_says(name: str, copy: Path) -> None:
    # The modules of the copy, in place of those that the environment knows.
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    paths = []
    for language, path, content in FENCE.findall(WALKS[name]):
        if path:
            (copy / path).parent.mkdir(exist_ok=True)
            (copy / path).write_text(changed((copy / path).read_text(), content) if language == "diff" else content)
            paths += [path] if path.endswith(".py") else []
            continue
        assert language == "console"
        for line in content.splitlines():
            command = line.removeprefix("$ ").removeprefix("sudo ")
            finished = subprocess.run(
                ["bash", "-c", command], cwd=copy, env=environment, capture_output=True, text=True, check=False
            )
            assert finished.returncode == 0, f"{line}\n{finished.stdout}{finished.stderr}"

    for check in (["check"], ["format", "--check"]):
        subprocess.run([".venv/bin/ruff", *check, "--no-cache", *paths], cwd=copy, check=True)
