"""Folders for what is being made: gone at the end, or with the next one where their maker was killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skep.base.scratch import Scratch

MAKER = """
import sys
from pathlib import Path
from skep.base.scratch import Scratch
scratch = Scratch(sys.argv[1], "new-")
Path(scratch.path, "deep").mkdir()
Path(scratch.path, "deep", "file").write_text("half")
print("made", flush=True)
sys.stdin.read()
"""


def test_it_goes_with_all_that_it_holds(tmp_path: Path) -> None:
    with Scratch(str(tmp_path), "new-") as scratch:
        assert os.path.basename(scratch.path).startswith("new-")
        assert os.stat(scratch.path).st_mode & 0o777 == 0o700
        Path(scratch.path, "deep").mkdir()
        Path(scratch.path, "deep", "file").write_text("")

    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_goes_with_the_next_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "new-file").write_text("")
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "made\n"
    dead, living = makers
    dead.kill()
    dead.communicate()
    assert len(list(tmp_path.glob("new-*/deep/file"))) == 2

    with Scratch(str(tmp_path), "new-") as scratch:
        left = list(tmp_path.glob("new-*/deep/file"))

        assert len(left) == 1
        assert os.path.dirname(scratch.path) == str(tmp_path)
    assert left[0].exists()
    living.kill()
    living.communicate()
    with Scratch(str(tmp_path), "new-"):
        pass
    assert sorted(os.listdir(tmp_path)) == ["new-file", "other"]


def test_what_a_program_adds_meanwhile_is_no_failure(tmp_path: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *_, **__: None)
        with Scratch(str(tmp_path), "new-") as scratch:
            Path(scratch.path, "late").write_text("")

    with Scratch(str(tmp_path), "new-"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_folder_of_another_user_stays(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "new-1").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("os.geteuid", lambda: os.getuid() + 1)
        with Scratch(str(tmp_path), "new-"):
            pass

    assert os.listdir(tmp_path) == ["new-1"]


def test_where_folders_cannot_be_locked_nothing_is_taken_for_a_leftover(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError

    monkeypatch.setattr("fcntl.flock", refuse)
    with Scratch(str(tmp_path), "new-") as one, Scratch(str(tmp_path), "new-") as other:
        assert os.path.exists(one.path)
        assert os.path.exists(other.path)

    assert os.listdir(tmp_path) == []


def test_a_place_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Scratch(str(tmp_path / "nowhere"), "new-")
