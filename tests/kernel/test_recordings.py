"""Runs that are kept in files: shown again as they were, read as far as a killed one came, and what stops them.

pyarrow and pandas are imported where they are used: under QEMU, where none of this runs, they would take long.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SKEP = [sys.executable, "-m", "skep"]
PROGRAMS = Path(__file__).parent.parent / "programs"


def skep(*arguments, code=0):
    """What skep prints, and what it says."""
    done = subprocess.run([*SKEP, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_recording_holds_what_the_run_saw(tmp_path, suffix):
    path, opened = tmp_path / f"run.{suffix}", tmp_path / "opened"
    opened.write_text("here")
    shown, said = skep("record", "opensnoop", "--to", path, "--", "cat", opened)
    assert shown == "here"

    out, told = skep("replay", path, "-o", "json", "--filter", f"filename == {opened}")
    event = json.loads(out)
    assert (event["comm"], event["ret_name"], event["open_flags_name"]) == ("cat", None, "O_RDONLY")
    # The account, too, is that of the run.
    assert told.splitlines()[0] in said.splitlines()
    assert set(os.listdir(tmp_path)) == {path.name, "opened"}


def test_a_recording_says_what_ran_where(tmp_path):
    path = tmp_path / "run.arrow"
    skep("record", "opensnoop", "--to", path, "--failed-only", "--", "true")

    import pyarrow as pa

    with pa.ipc.open_stream(path.read_bytes()) as stream:
        about = json.loads(stream.schema.metadata[b"skep"])["about"]
    assert about["program"] == "opensnoop"
    assert "--failed-only" in about["arguments"]
    assert about["command"] == ["true"]
    assert about["host"] == os.uname().nodename
    assert os.uname().release in about["kernel"]


@pytest.mark.parametrize("output", ["json", "csv"])
def test_text_goes_to_a_file_as_to_standard_output(tmp_path, output):
    path = tmp_path / f"run.{output}"
    out, _ = skep("run", "opensnoop", "--to", path, "--fields", "comm,filename", "--", "cat", "/dev/null")

    lines = path.read_text().splitlines()
    assert out == ""
    assert "/dev/null" in lines[-1]
    assert (lines[0] == "comm,filename") == (output == "csv")


def test_maps_are_recorded_as_they_are_shown(tmp_path):
    path = tmp_path / "run.parquet"
    skep("record", PROGRAMS / "counts.bpf.o", "--to", path, "--", "sh", "-c", "echo hello")

    out, _ = skep("replay", path, "-q")
    assert "lengths" in out
    assert "distribution" in out


def _killed(path):
    """What a run that is killed has written, once it has written something."""
    command = [*SKEP, "record", "opensnoop", "--to", str(path), "--", "sh", "-c", "while :; do cat /dev/null; done"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as run:
        part = path.with_name(f"{path.name}.part")
        while run.poll() is None and not (part.exists() and part.stat().st_size > 20_000):
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    return part


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv", "json"])
def test_a_killed_run_leaves_what_it_has_written(tmp_path, suffix):
    part = _killed(tmp_path / f"run.{suffix}")

    assert os.listdir(tmp_path) == [part.name]
    if suffix in {"csv", "json"}:
        assert "/dev/null" in part.read_text()
    else:
        out, said = skep("replay", part, "-o", "json")
        assert "/dev/null" in out
        assert "its run was killed" in said
        skep("replay", part, "--to", tmp_path / "whole.parquet")
        import pandas as pd

        assert (pd.read_parquet(tmp_path / "whole.parquet").filename == "/dev/null").any()
    _, said = skep("record", "opensnoop", "--to", tmp_path / f"run.{suffix}", "--", "true", code=2)
    assert f"{part} is there" in said


@pytest.fixture
def disk(tmp_path):
    """A disk of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("suffix", ["parquet", "json"])
def test_a_full_disk_ends_the_run_and_leaves_what_fits(disk, suffix):
    path = disk / f"run.{suffix}"
    _, said = skep("record", "opensnoop", "--to", path, "--", "sh", "-c", "while :; do cat /dev/null; done", code=1)

    assert f"{path}.part: No space left on device" in said
    assert "events, 0 lost" in said
    assert os.listdir(disk) == [f"{path.name}.part"]
    if suffix == "parquet":
        out, _ = skep("replay", f"{path}.part", "-o", "json")
        assert "/dev/null" in out


def test_where_nothing_can_be_written_nothing_is_loaded(tmp_path):
    _, said = skep("record", "opensnoop", "--to", tmp_path / "missing" / "run.parquet", "--", "true", code=2)
    assert "cannot be written: No such file or directory" in said
    assert "attached" not in said
    _, said = skep("record", "opensnoop", "--", "true", code=2)
    assert "--to FILE is missing" in said


def test_columns_go_through_a_pipe():
    done = subprocess.run(
        [*SKEP, "run", "opensnoop", "-q", "-o", "arrow", "--filter", "filename == /dev/null", "--", "cat", "/dev/null"],
        capture_output=True,
        check=True,
    )
    import pyarrow as pa

    with pa.ipc.open_stream(done.stdout) as stream:
        assert stream.read_all().column("comm").to_pylist() == ["cat"]
