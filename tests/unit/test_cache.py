"""The cache: whose it is, what it survives, what it removes."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from skep.base.errors import SkepError
from skep.spec import cache


def test_a_folder_is_made_for_its_owner_alone(cache_home: Path) -> None:
    folder = cache.cache_folder("objects/deep")

    assert folder == str(cache_home / "skep" / "objects" / "deep")
    assert (cache_home / "skep").stat().st_mode & 0o777 == 0o700
    assert cache.cache_folder("objects/deep") == folder


def test_without_xdg_cache_home_it_is_in_the_home(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache.cache_folder("objects") == str(tmp_path / ".cache" / "skep" / "objects")


def test_a_home_that_belongs_to_another_user_is_not_used(tmp_path: Path, monkeypatch) -> None:
    """As under `sudo -E`: root's files in the cache of the user would lock him out."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    monkeypatch.setattr("pwd.getpwuid", lambda user: SimpleNamespace(pw_dir=f"/home/{user - os.getuid()}"))

    assert cache._home() == "/home/1"


def test_a_cache_that_belongs_to_another_user_is_refused(cache_home: Path, monkeypatch) -> None:
    (cache_home / "skep").mkdir(parents=True, mode=0o700)
    monkeypatch.setattr("os.geteuid", lambda: 12345)

    with pytest.raises(SkepError, match="belongs to another user") as raised:
        cache.cache_folder("objects")

    assert "chown 12345" in str(raised.value.remedy)
    assert not (cache_home / "skep" / "objects").exists()


@pytest.mark.parametrize("mode", [0o770, 0o720, 0o707, 0o702])
def test_a_cache_that_others_may_write_to_is_refused(mode: int, cache_home: Path) -> None:
    (cache_home / "skep").mkdir(parents=True)
    (cache_home / "skep").chmod(mode)

    with pytest.raises(SkepError, match="others may write to it") as raised:
        cache.cache_folder("objects")

    assert "chmod 700" in str(raised.value.remedy)
    assert not (cache_home / "skep" / "objects").exists()


def test_a_cache_that_others_may_only_read_is_used(cache_home: Path) -> None:
    (cache_home / "skep").mkdir(parents=True, mode=0o755)

    assert os.path.isdir(cache.cache_folder("objects"))


@pytest.mark.parametrize(
    "block",
    [
        pytest.param("", id="the place of the cache is a file"),
        pytest.param("skep", id="the cache is a file"),
        pytest.param("skep/objects", id="the folder is a file"),
    ],
)
def test_a_cache_that_cannot_be_made_is_an_error_with_a_remedy(block: str, cache_home: Path) -> None:
    path = cache_home / block
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.name == "skep":
        path.parent.chmod(0o700)
    path.write_text("")

    with pytest.raises(SkepError, match="cannot be written") as raised:
        cache.cache_folder("objects")

    assert "XDG_CACHE_HOME" in str(raised.value.remedy)


def test_what_is_written_is_read(cache_home: Path) -> None:
    path = os.path.join(cache.cache_folder("objects"), "a")

    cache.write(path, b"one")
    cache.write(path, b"two")

    assert cache.read(path) == b"two"
    assert os.listdir(os.path.dirname(path)) == ["a"]
    assert os.stat(path).st_mode & 0o022 == 0


@pytest.mark.parametrize("path", ["missing", ".", "missing/deeper", "/proc/self/mem"])
def test_what_is_missing_or_cannot_be_read_is_none(path: str, tmp_path: Path) -> None:
    assert cache.read(os.path.join(tmp_path, path)) is None


@pytest.mark.parametrize(
    ("call", "number"),
    [
        pytest.param("rename", errno.EXDEV, id="the rename fails"),
        pytest.param("write", errno.ENOSPC, id="the disk is full"),
        pytest.param("open", errno.EROFS, id="the file system is read-only"),
    ],
)
def test_a_failed_write_is_an_error_with_a_remedy_and_leaves_nothing(
    call: str, number: int, cache_home: Path, monkeypatch
) -> None:
    folder = cache.cache_folder("objects")
    cache.write(os.path.join(folder, "a"), b"old")

    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    def opened(*arguments):
        file = open(*arguments)  # noqa: SIM115 - a stand-in for open() itself
        return type("Full", (), {"__enter__": lambda _: _, "__exit__": lambda *_: file.close(), "write": fail})()

    if call == "rename":
        monkeypatch.setattr("os.rename", fail)
    else:
        monkeypatch.setattr(cache, "open", fail if call == "open" else opened, raising=False)

    with pytest.raises(SkepError, match=os.strerror(number)) as raised:
        cache.write(os.path.join(folder, "a"), b"new")

    monkeypatch.undo()
    assert "XDG_CACHE_HOME" in str(raised.value.remedy)
    assert os.listdir(folder) == ["a"]
    assert cache.read(os.path.join(folder, "a")) == b"old"


def test_a_write_that_is_interrupted_leaves_nothing(cache_home: Path, monkeypatch) -> None:
    folder = cache.cache_folder("objects")

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.rename", interrupt)

    with pytest.raises(KeyboardInterrupt):
        cache.write(os.path.join(folder, "a"), b"new")

    assert os.listdir(folder) == []


WRITER = """
import sys
from skep.spec import cache
for turn in range(200):
    cache.write(sys.argv[1], sys.argv[2].encode() * 50_000)
"""


def test_two_processes_and_two_threads_that_write_one_file_never_mix(cache_home: Path) -> None:
    path = os.path.join(cache.cache_folder("objects"), "a")
    cache.write(path, b"a" * 50_000)
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, path, letter]) for letter in "bc"]

    def write(letter: bytes) -> None:
        for _ in range(100):
            cache.write(path, letter * 50_000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"d", b"e")]
    for thread in threads:
        thread.start()

    seen = set()
    while any(process.poll() is None for process in processes):
        data = cache.read(path)
        assert data is not None
        assert data == data[:1] * 50_000
        seen.add(data[:1])

    for thread in threads:
        thread.join()
    assert [process.returncode for process in processes] == [0, 0]
    assert len(seen) > 1
    assert os.listdir(os.path.dirname(path)) == ["a"]


def files(folder: Path, *times: tuple[int, int]) -> None:
    """Files 0, 1, 2 ...: when each was last read, and written."""
    for index, (read, written) in enumerate(times):
        (folder / str(index)).write_text("")
        os.utime(folder / str(index), (read, written))


@pytest.mark.parametrize(
    ("times", "most", "left"),
    [
        pytest.param([(1, 1), (2, 2), (3, 3)], 3, ["0", "1", "2"], id="no more than may stay"),
        pytest.param([(3, 3), (1, 1), (2, 2)], 2, ["0", "2"], id="the oldest goes"),
        pytest.param([(9, 1), (1, 2), (1, 3)], 2, ["0", "2"], id="what is read stays"),
        pytest.param([(1, 9), (2, 2), (3, 3)], 2, ["0", "2"], id="what is new stays, where reads are not noted"),
        pytest.param([(1, 1), (2, 2)], 0, [], id="none may stay"),
    ],
)
def test_trim_removes_what_was_not_used_for_longest(times, most: int, left: list[str], tmp_path: Path) -> None:
    files(tmp_path, *times)

    cache.trim(str(tmp_path), most=most)

    assert sorted(os.listdir(tmp_path)) == left


def test_trim_survives_files_that_vanish_and_files_that_cannot_be_removed(tmp_path: Path, monkeypatch) -> None:
    files(tmp_path, (1, 1), (2, 2), (3, 3))
    os.symlink("nowhere", tmp_path / "dangling")
    real = os.unlink

    def unlink(path: str) -> None:
        real(path)
        real(path)

    monkeypatch.setattr("os.unlink", unlink)

    cache.trim(str(tmp_path), most=1)

    assert sorted(os.listdir(tmp_path)) == ["2", "dangling"]


def test_trim_removes_folders_with_all_that_they_hold_and_follows_no_link(tmp_path: Path) -> None:
    for name, second in (("old", 1), ("new", 9)):
        (tmp_path / "cache" / name).mkdir(parents=True)
        (tmp_path / "cache" / name / "vmlinux.h").write_text("")
        os.utime(tmp_path / "cache" / name, (second, second))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").write_text("")
    os.utime(tmp_path / "elsewhere", (2, 2))
    os.symlink(tmp_path / "elsewhere", tmp_path / "cache" / "link")

    cache.trim(str(tmp_path / "cache"), most=1)

    assert os.listdir(tmp_path / "cache") == ["new"]
    assert (tmp_path / "elsewhere" / "a").exists()
