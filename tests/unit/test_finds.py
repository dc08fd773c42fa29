"""What fuzzing found (tests/fuzz/finds), and was mended, stays so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "fuzz"
READERS = sorted(path.stem for path in (FUZZ / "readers").glob("*.py"))


@pytest.mark.parametrize("reader", sorted(folder.name for folder in (FUZZ / "finds").iterdir()))
def test_what_was_found_is_survived(reader):
    finished = subprocess.run(
        [sys.executable, FUZZ / "fuzz", "--replay", reader], capture_output=True, text=True, check=False
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stdout.count("survived") == len(list((FUZZ / "finds" / reader).iterdir()))


def fuzz(tmp_path: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Runs the fuzzer over one reader whose `read` has this body."""
    (tmp_path / "tests" / "fuzz" / "readers").mkdir(parents=True)
    for name in ("fuzz", "worker.py", "mutation.py"):
        (tmp_path / "tests" / "fuzz" / name).write_bytes((FUZZ / name).read_bytes())
    (tmp_path / "tests" / "fuzz" / "readers" / "one.py").write_text(
        "import os, time\n"
        "from skep.base.errors import SkepError\n"
        "def seeds(): return [b'good']\n"
        "def mutated(random, seed): return b'bad'\n"
        f"def read(data):\n    if data == b'bad': {body}\n"
    )
    return subprocess.run(
        [sys.executable, tmp_path / "tests" / "fuzz" / "fuzz", "--seconds", "0.5", "--seed", "1"],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param("raise ValueError('no')", "ValueError: no", id="an exception"),
        pytest.param("os.abort()", "ended by SIGABRT", id="a signal"),
        pytest.param("os._exit(3)", "ended with status 3", id="an exit"),
        pytest.param("all(iter(lambda: 1, 0))", "more than 1.0 s", id="a hang"),
        pytest.param("bytes(1 << 29)", "MemoryError", id="memory"),
        pytest.param("raise SkepError('')", "an error without words", id="an error that says nothing"),
    ],
)
def test_what_is_not_survived_is_kept_once(body, reason, tmp_path):
    finished = fuzz(tmp_path, body)

    assert finished.returncode == 1
    assert reason in finished.stderr
    assert [path.read_bytes() for path in (tmp_path / "tests" / "fuzz" / "finds" / "one").iterdir()] == [b"bad"]


def test_an_error_for_the_user_is_no_find(tmp_path):
    finished = fuzz(tmp_path, "raise SkepError('no')")

    assert finished.returncode == 0, finished.stderr
    assert "0 finds" in finished.stdout
