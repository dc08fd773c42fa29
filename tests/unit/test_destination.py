"""A file that is there whole or not at all."""

import os

import pytest

from skep.base.destination import Destination
from skep.base.errors import UsageError


def test_the_file_is_there_once_it_is_whole(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with Destination(str(path)) as destination:
        destination.file.write(b"new")
        destination.file.flush()
        assert (path.read_text(), (tmp_path / "a.json.part").read_text()) == ("old", "new")
        destination.commit()

    assert os.listdir(tmp_path) == ["a.json"]
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_second_file_takes_the_place_of_the_first(tmp_path):
    (tmp_path / "a.new").write_text("left over")
    with Destination(str(tmp_path / "a")) as destination:
        destination.file.write(b"first")
        with destination.second() as second:
            second.write(b"second")
            destination.commit(second)

    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "second"


def _fail(path, *, keep):
    with Destination(path) as destination:
        destination.file.write(b"half")
        destination.keep = keep
        raise KeyError


@pytest.mark.parametrize("keep", [False, True])
def test_what_was_written_stays_where_it_is_worth_something(tmp_path, keep):
    with pytest.raises(KeyError):
        _fail(str(tmp_path / "a"), keep=keep)

    assert os.listdir(tmp_path) == (["a.part"] if keep else [])


def test_what_is_no_file_is_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)

    for name in ("pipe", "link"):
        with pytest.raises(UsageError, match=f"{name} is no file that could be replaced"):
            Destination(str(tmp_path / name))
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]
    assert pipe.is_fifo()


def test_what_a_killed_run_left_is_not_overwritten(tmp_path):
    (tmp_path / "a.part").write_text("precious")

    with pytest.raises(UsageError, match=r"a\.part is there") as caught:
        Destination(str(tmp_path / "a"))
    assert "skep replay" in str(caught.value.remedy)
    assert (tmp_path / "a.part").read_text() == "precious"


@pytest.mark.parametrize("name", ["", "missing/a", "a\0b", "x" * 300])
def test_what_cannot_be_written_is_told(tmp_path, name):
    with pytest.raises(UsageError):
        Destination(f"{tmp_path}/{name}")
