"""`skep completion`, in the shells themselves."""

import os
import shutil
import subprocess

import pytest

from skep.cli import main
from skep.cli.main import VERBS

# What each shell runs: the script is its first argument, the words of the command line are the others.
_CALL = """
    COMP_WORDS=("$@"); COMP_CWORD=$(( ${#} - 1 )); COMPREPLY=()
    _skep
    printf '%s\\n' "${COMPREPLY[@]}"
"""
SHELLS = {
    "bash": ["bash", "--norc", "-c", f'. "$1"; shift; {_CALL}', "bash"],
    # As zsh calls functions of bash's kind: emulating sh.
    "zsh": ["zsh", "-f", "-c", f'autoload -U compinit; compinit -D -u; . "$1"; shift; emulate sh; {_CALL}', "zsh"],
    "fish": ["fish", "--no-config", "-c", 'source $argv[1]; complete -C "$argv[2..]"'],
}


@pytest.fixture(params=SHELLS)
def completed(request, tmp_path, capsys):
    """completed(words): what a shell offers for the last of them."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    assert main(["completion", request.param]) == 0
    script = tmp_path / "skep.completion"
    script.write_text(capsys.readouterr().out)
    (tmp_path / "a file.parquet").touch()

    def completed(*words: str) -> list[str]:
        done = subprocess.run(
            [*SHELLS[request.param], str(script), *words],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        )
        assert done.stderr == ""
        offered = {line.partition("\t")[0] for line in done.stdout.splitlines() if line}
        # Of what a function of bash's offers, zsh itself takes what begins as the word does.
        return sorted(each for each in offered if each.startswith(words[-1]))

    return completed


def test_verbs_are_completed(completed):
    assert completed("skep", "re") == ["record", "replay"]
    assert set(VERBS) <= set(completed("skep", ""))


def test_options_are_those_of_the_verb(completed):
    assert completed("skep", "replay", "--gr") == ["--group-by"]
    assert completed("skep", "run", "--group") == ["--group-by"]
    assert completed("skep", "doctor", "--gr") == []


def test_tools_are_completed_where_they_are_taken(completed):
    assert completed("skep", "run", "opens") == ["opensnoop"]
    assert completed("skep", "doctor", "opens") == []


def test_files_are_completed(completed):
    assert [each.replace("\\", "") for each in completed("skep", "replay", "a")] == ["a file.parquet"]


def test_an_unknown_shell_is_told(capsys):
    assert main(["completion", "tcsh"]) == 2
    assert "bash" in capsys.readouterr().err
