"""What is made of what the tests noted: a line for each floor, and the branches of each room."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent.parent


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _floor(folder: Path, name: str, seconds: float, **outcomes: str) -> None:
    (folder / f"{name}.seconds").write_text(f"{seconds}\n")
    told = {test: (outcome, "no kprobes") for test, outcome in outcomes.items()}
    (folder / f"{name}.json").write_text(json.dumps(told))


def test_each_floor_is_printed_with_its_time(tmp_path: Path, capsys) -> None:
    _floor(tmp_path, "host", 59.7, one="passed", two="skipped")
    _floor(tmp_path, "6.12", 725.2, two="passed")

    assert _script("floors").main(tmp_path) == 0
    assert capsys.readouterr().out == "6.12  1 passed in 12 min 5 s\nhost  1 passed, 1 skipped in 1 min 0 s\n"


def test_a_test_that_is_skipped_everywhere_is_named(tmp_path: Path, capsys) -> None:
    _floor(tmp_path, "host", 1, one="passed", two="skipped")
    _floor(tmp_path, "6.1", 1, two="skipped")

    assert _script("floors").main(tmp_path) == 1
    assert "never ran: two: 6.1: no kprobes; host: no kprobes" in capsys.readouterr().out


def test_branches_are_counted_in_children_too_and_too_few_fail(tmp_path: Path, monkeypatch, capsys) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import os
from skep.base.schema import Field, Schema, Type
if not os.fork():
    Schema("event", 4, (Field("pid", 0, 4, Type("int", 4, "u32")),)).decode(bytes(4))
    os._exit(0)
os.wait()
""")
    for name in ("unit", "kernel"):
        command = [sys.executable, "-m", "coverage", "run", f"--data-file={tmp_path}/{name}.coverage", str(script)]
        subprocess.run(command, cwd=ROOT, check=True)
    monkeypatch.chdir(ROOT)

    assert _script("covered").main(tmp_path) == 1
    out = capsys.readouterr().out
    assert re.search(r"^base +[1-9]\d*\.\d % +[1-9]\d*\.\d %$", out, re.MULTILINE)
    assert "of skep.view tests/unit takes 0.0 % of the branches; 95 % are asked for" in out
