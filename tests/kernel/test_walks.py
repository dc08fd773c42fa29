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


def changed(text: str, diff: str, *, undo: bool = False) -> str:
    """A text with a diff applied, or taken back: the lines before it stand in the text once, one after the other."""
    lines = diff.splitlines(keepends=True)
    before, after = ("".join(line[1:] for line in lines if line[0] != sign) for sign in "+-")
    if undo:
        before, after = after, before
    assert text.count(before) == 1, f"is not there once:\n{before}"
    return text.replace(before, after)


def take_out(copy: Path, fences: list[tuple[str, str, str]]) -> None:
    """Takes what a walk adds out of the copy: it is how something was added that is there."""
    for language, path, content in fences:
        if language == "diff":
            (copy / path).write_text(changed((copy / path).read_text(), content, undo=True))
        elif path:
            assert (copy / path).read_text() == content, f"{path} is no longer what CONTRIBUTING.md shows"
            (copy / path).unlink()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The checkout, with what is built in it, and its virtual environment."""
    made = (".git", ".venv", ".results", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "dist")
    shutil.copytree(ROOT, tmp_path / "copy", ignore=shutil.ignore_patterns(*made))
    (tmp_path / "copy/.venv").symlink_to(ROOT / ".venv")
    return tmp_path / "copy"


def test_there_is_a_walk_for_each_thing_that_is_added_often():
    assert list(WALKS) == ["A hook", "A meaning", "A view", "A tool"]
    assert all(len(FENCE.findall(walk)) >= 4 for walk in WALKS.values())


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_leads_where_it_says(name: str, copy: Path) -> None:
    fences = FENCE.findall(WALKS[name])
    # The modules of the copy, in place of those that the environment knows.
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(command: str) -> subprocess.CompletedProcess[str]:
        command = command.removeprefix("$ ").removeprefix("sudo ")
        return subprocess.run(
            ["bash", "-c", command], cwd=copy, env=environment, capture_output=True, text=True, check=False
        )

    if any((copy / path).exists() for language, path, _ in fences if path and language != "diff"):
        take_out(copy, fences)
    commands = fences[-1][2].splitlines()
    assert run(commands[0]).returncode != 0, "works before anything is added"

    for language, path, content in fences[:-1]:
        (copy / path).parent.mkdir(exist_ok=True)
        (copy / path).write_text(changed((copy / path).read_text(), content) if language == "diff" else content)
    for command in commands:
        finished = run(command)
        assert finished.returncode == 0, f"{command}\n{finished.stdout}{finished.stderr}"
    paths = [path for _, path, _ in fences if path.endswith(".py")]
    for check in (["check"], ["format", "--check"]):
        subprocess.run([".venv/bin/ruff", *check, "--no-cache", *paths], cwd=copy, check=True)
