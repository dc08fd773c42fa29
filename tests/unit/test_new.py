"""`skep new`: each kind compiles, is a whole example, and nothing is overwritten."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from skep.cli.main import main
from skep.cli.new import KINDS, TEMPLATES
from skep.session import api


def test_every_kind_has_its_template():
    assert {path.name for path in Path(TEMPLATES).glob("*.bpf.c")} == {f"{kind}.bpf.c" for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_file_compiles_and_is_a_whole_example(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert main(["new", "mine", "--kind", kind]) == 0

    assert os.listdir() == ["mine.bpf.c"]
    told = capsys.readouterr()
    assert told.out == ""
    assert f"skep run mine.bpf.c -- {KINDS[kind][1]}\n" in told.err
    spec = api.compile("mine.bpf.c")
    assert spec.name == "mine"
    assert spec.description.endswith(".")
    assert any("skep_tree" in program.symbols for program in spec.programs.values())
    (option,) = [variable for variable in spec.variables.values() if variable.is_option]
    assert option.help
    assert option.name.replace("_", "-") in Path("mine.bpf.c").read_text()
    if kind == "printk":
        assert spec.prints
    else:
        (event,) = spec.events.values()
        assert [schema.name for schema in event.schemas] == ["event"]
        assert [field.name for field in event.schemas[0].fields[:2]] == ["time", "pid"]
        assert spec.counts_losses("skep_lost_count")


def test_the_default_is_a_tracepoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    main(["new", "mine"])

    assert Path("mine.bpf.c").read_text() == (Path(TEMPLATES) / "tracepoint.bpf.c").read_text()


@pytest.mark.parametrize(
    ("name", "path"),
    [
        pytest.param("opens", "opens.bpf.c", id="a name"),
        pytest.param("opens.bpf.c", "opens.bpf.c", id="with its ending"),
        pytest.param("_x1", "_x1.bpf.c", id="what C takes"),
        pytest.param("in here/opens", "in here/opens.bpf.c", id="in a folder"),
    ],
)
def test_names(name, path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in here").mkdir()

    assert main(["new", name]) == 0

    assert Path(path).exists()
    assert f"skep: {path} watches" in capsys.readouterr().err


def test_a_path_is_quoted_for_the_shell(tmp_path, capsys):
    (tmp_path / "in here").mkdir()

    assert main(["new", str(tmp_path / "in here" / "x")]) == 0

    assert re.search(r"skep run '[^']*/in here/x\.bpf\.c' -- ", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("my-tool", "'my-tool' is no name for a kernel file", id="a hyphen"),
        pytest.param("1st", "'1st' is no name for a kernel file", id="a digit first"),
        pytest.param("", "'' is no name for a kernel file", id="nothing"),
        pytest.param(".bpf.c", "'' is no name for a kernel file", id="only the ending"),
        pytest.param("folder/", "'' is no name for a kernel file", id="a folder"),
        pytest.param("opens.c", "'opens.c' is no name for a kernel file", id="another ending"),
        pytest.param("größe", "'größe' is no name for a kernel file", id="a letter that C does not take"),
        pytest.param("a\nb", "is no name for a kernel file", id="two lines"),
        pytest.param("nowhere/opens", "there is no folder nowhere", id="a folder that is not there"),
    ],
)
def test_names_that_do_not_do(name, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert main(["new", name]) == 2

    assert message in capsys.readouterr().err
    assert os.listdir() == []


def test_a_better_name_is_offered(capsys):
    assert main(["new", "/nowhere/my-tool"]) == 2
    assert "For example: skep new /nowhere/my_tool\n" in capsys.readouterr().err


def test_nothing_is_overwritten(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.bpf.c").write_text("mine")

    assert main(["new", "mine"]) == 2

    assert "mine.bpf.c is there already" in capsys.readouterr().err
    assert Path("mine.bpf.c").read_text() == "mine"


def test_nor_is_what_a_dangling_link_points_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.bpf.c").symlink_to("elsewhere")

    assert main(["new", "mine"]) == 2
    assert not Path("elsewhere").exists()


def test_an_unknown_kind_is_a_wrong_use(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert main(["new", "mine", "--kind", "magic"]) == 2

    assert "tracepoint" in capsys.readouterr().err
    assert os.listdir() == []


def test_help_says_what_each_kind_watches(capsys):
    with pytest.raises(SystemExit):
        main(["new", "--help"])

    told = capsys.readouterr().out
    assert all(kind in told and what in told for kind, (what, *_) in KINDS.items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_test_is_started_beside_it(kind, tmp_path, capsys):
    assert main(["new", str(tmp_path / "mine"), "--kind", kind, "--test"]) == 0
    test = tmp_path / "test_mine.py"

    compile(test.read_text(), str(test), "exec")
    assert 'run_command("mine.bpf.c", ' in test.read_text()
    assert f"-m pytest {test}" in capsys.readouterr().err
    assert main(["new", str(tmp_path / "other"), "--test"]) == 0
    (tmp_path / "other.bpf.c").unlink()
    assert main(["new", str(tmp_path / "other"), "--test"]) == 2
    assert "test_other.py is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tool", "call"),
    [
        pytest.param("opensnoop", 'run_command("mine.bpf.c", ["true"])', id="all is said"),
        pytest.param("sslsniff", 'load("mine.bpf.c", variables={"pid_target": 1})', id="a binary, and a variable"),
        pytest.param("xdpcount", 'load("mine.bpf.c")', id="an interface is open"),
    ],
)
def test_a_tool_is_a_start_with_its_page_and_a_test(tool, call, tmp_path, capsys):
    assert main(["new", str(tmp_path / "mine"), "--like", tool]) == 0

    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.bpf.c", "mine.md", "test_mine.py"]
    assert "/* mine: " in (tmp_path / "mine.bpf.c").read_text()
    page = (tmp_path / "mine.md").read_text()
    assert page.startswith("# mine\n")
    assert "$ skep run mine.bpf.c " in page
    test = (tmp_path / "test_mine.py").read_text()
    compile(test, "test_mine.py", "exec")
    assert call in test
    assert f"-m pytest {tmp_path}/test_mine.py\n" in capsys.readouterr().err


def test_the_headers_of_a_tool_come_along(tmp_path):
    assert main(["new", str(tmp_path / "mine"), "--like", "behaviour"]) == 0

    assert (tmp_path / "behaviour.h").exists()


def test_a_tool_that_is_not_there_is_no_start(tmp_path, capsys):
    assert main(["new", str(tmp_path / "mine"), "--like", "opensnop"]) == 2

    assert capsys.readouterr().err == "skep: there is no tool opensnop\nDid you mean opensnoop?\n"
    assert not list(tmp_path.iterdir())
