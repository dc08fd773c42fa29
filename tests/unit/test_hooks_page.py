"""docs/hooks.md says what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from skep.kernel.link import MODULES
from skep.spec.sections import kinds, parse

TESTS = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def hooks():
    spec = importlib.util.spec_from_file_location("hooks", TESTS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_in_step_with_the_code(hooks):
    text = hooks.PAGE.read_text()

    assert text == hooks.page(hooks.tested_of(text)), "python tests/hooks.py .results writes it anew, after make test"


def test_every_kind_has_a_row_and_no_cell_is_empty(hooks):
    rows = [line.strip("| ").split(" | ") for line in hooks.PAGE.read_text().splitlines() if line.startswith("| `")]
    attached = [kind for kind in kinds() if parse(kind).lacks is not None]

    assert sorted(row[0].strip("`") for row in rows) == sorted(attached)
    assert all(len(row) == 6 and all(map(str.strip, row)) for row in rows)
    assert all(cell == "tested" or cell.startswith("no: ") for row in rows for cell in row[3:])


def test_what_is_tested_nowhere_is_an_error(hooks):
    with pytest.raises(SystemExit, match="no test attaches"):
        hooks.page({floor: set() for floor in hooks.FLOORS})


def test_a_promise_that_no_test_keeps_is_an_error(hooks, tmp_path, capsys):
    for floor, kinds_ in hooks.tested_of(hooks.PAGE.read_text()).items():
        (tmp_path / f"{floor}.hooks").write_text("\n".join(kinds_ - {"tp"}))

    assert hooks.main(["--check", str(tmp_path)]) == 1
    assert "promises a test of tp on 6.12, and none attached it" in capsys.readouterr().out


def test_each_kind_has_a_module():
    assert set(MODULES) <= set(kinds())
    for kind in kinds():
        if parse(kind).lacks is not None and kind not in MODULES:
            assert kind.startswith(("cgroup", "sockops", "lsm_cgroup"))
