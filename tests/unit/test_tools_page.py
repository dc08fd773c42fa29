"""docs/tools.md says what the tools' own pages say."""

import importlib.util
from pathlib import Path

import pytest

from skep.session.api import tool_names

TESTS = Path(__file__).parent.parent


@pytest.fixture
def tools():
    spec = importlib.util.spec_from_file_location("tools", TESTS / "tools.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_in_step_with_the_tools(tools):
    text = tools.PAGE.read_text()

    written = tools.page(tools.tested_of(text), tools.rest_of(text))
    assert text == written, "python -m tests.tools .results writes it anew, after make test"
    assert {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")} == set(tool_names())


def test_what_nobody_ran_is_told(tools, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tools, "PAGE", tmp_path / "tools.md")
    (tmp_path / "host.tools").write_text("opensnoop\nrunqlat\n")
    (tmp_path / "6.1.tools").write_text("opensnoop\n")

    assert tools.main([str(tmp_path)]) == 0
    assert tools.tested_of(tools.PAGE.read_text()) == {
        "host": {"opensnoop", "runqlat"},
        "6.12": set(),
        "6.1": {"opensnoop"},
    }
    assert tools.main(["--check", str(tmp_path)]) == 0
    (tmp_path / "host.tools").write_text("runqlat\n")
    assert tools.main(["--check", str(tmp_path)]) == 1
    assert capsys.readouterr().out == "docs/tools.md promises a test of opensnoop on 6.18, and none ran it\n"
