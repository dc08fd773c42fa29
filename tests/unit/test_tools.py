"""`skep tools`: the list of the gallery, by area, and its pages."""

import pytest

import skep
from skep.base.errors import UsageError
from skep.cli.tools import AREAS, main
from skep.session.api import tool_names


def test_tools_are_listed_area_by_area(capsys):
    assert main([]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line[:1] != " "] == list(AREAS)
    listed = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line[:1] == " "}
    assert listed.keys() == set(tool_names())
    assert listed["opensnoop"] == "Shows every file that is opened: by whom, how, and what came of it."
    area = max(place for place, line in enumerate(lines[: lines.index(_line(lines, "runqlat"))]) if line[:1] != " ")
    assert lines[area] == "CPU"


def _line(lines: list[str], name: str) -> str:
    return next(line for line in lines if line.split()[0] == name)


@pytest.mark.parametrize("name", tool_names())
def test_every_page_says_what_the_tool_looks_at(name, capsys):
    main([name])

    page = capsys.readouterr().out
    assert page.startswith(f"# {name}\n")
    assert any(f"\n**Area**: {area}\n" in page for area in AREAS)
    assert all(f"**{word}**: " in page for word in ("Hook", "Options", "Cost", "Limits"))


def test_a_tool_that_is_not_there_is_told():
    with pytest.raises(UsageError, match="there is no tool opensnop") as caught:
        main(["opensnop"])

    assert "opensnoop" in str(caught.value.remedy)


def test_a_tool_that_reads_along_is_not_run_for_all():
    spec = skep.compile("sslsniff")

    with pytest.raises(UsageError, match="sslsniff is not run without pid_target") as caught:
        spec.check_required()
    assert caught.value.remedy == "Give --pid-target, a running process with -p PID, or a command after --."
    spec.variables["skep_scoped"].value = True
    spec.check_required()
    spec.variables["skep_scoped"].value = False
    spec.variables["pid_target"].value = 7
    spec.check_required()


def test_a_map_that_has_to_be_filled_is_asked_for():
    spec = skep.compile("lsmconnect")

    with pytest.raises(UsageError, match="lsmconnect is not run without cgroups") as caught:
        spec.check_required()
    assert "--cgroup PATH" in str(caught.value.remedy)
    spec.maps["skep_tree"].note = spec.maps["cgroups"].note
    with pytest.raises(UsageError, match="lsmconnect is not run without skep_tree") as caught:
        spec.check_required(["cgroups"])
    assert "--fill skep_tree=KEY:VALUE" in str(caught.value.remedy)
    spec.check_required(["cgroups", "skep_tree"])
