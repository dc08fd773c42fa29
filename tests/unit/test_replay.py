"""`skep replay` and `skep query`, of recordings made here."""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pytest
from pyarrow import parquet

from skep.cli import main
from skep.stream.recorder import Recorder
from skep.stream.recording import Recording
from tests.unit.test_recording import ABOUT, ACCOUNT, BATCHES, CLOSED, NAMES, OPENED, batch, closed, written


@pytest.fixture
def recording(tmp_path):
    """Two kinds of record, of two processes."""
    return str(written(tmp_path / "a.parquet"))


def shown(capsys, *arguments):
    """What a verb prints, and what it says."""
    code = main(arguments)
    out, err = capsys.readouterr()
    assert code == 0, err
    return out, err


def test_a_recording_is_shown_as_the_run_was(recording, capsys):
    out, err = shown(capsys, "replay", recording)

    assert [line.split() for line in out.splitlines()] == [
        ["EVENT", "TS", "PID", "RET", "COMM"],
        ["opened", "23:13:20.000000", "7", "ENOENT", "cat"],
        ["opened", "-", "8", "3", "\\xff\\x1b[31m"],
        ["EVENT", "PID", "RET", "NS"],
        ["closed", "7", "0", "1.500", "us"],
        ["opened", "23:13:20.000000", "7", "4", "cat"],
    ]
    assert err == "skep: 4 events, 0 lost\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["--filter", "pid == 8", "-o", "json", "--fields", "pid,ret"],
            '{"_event": "opened", "pid": 8, "ret": 3, "ret_name": null}\n',
        ),
        (["--group-by", "comm", "--count", "-o", "csv"], "comm,count\r\ncat,2\r\n\\xff\\x1b[31m,1\r\n"),
        (["--hist", "ns", "-o", "json"], '{"_event": "closed", "low": 1024, "high": 2047, "count": 1}\n'),
        (
            ["--sort", "-ret", "--limit", "1", "--filter", "comm == cat", "-o", "csv", "--fields", "ret"],
            "ret,ret_name\r\n4,\r\n",
        ),
    ],
)
def test_every_view_shows_it(recording, capsys, options, expected):
    out, _ = shown(capsys, "replay", recording, "-q", *options)

    assert out == expected


def test_it_becomes_another_file(recording, tmp_path, capsys):
    for name in ("b.arrow", "c.parquet", "d.json"):
        shown(capsys, "replay", recording, "--filter", "pid == 7", "--to", str(tmp_path / name))

    with Recording(str(tmp_path / "b.arrow")) as one, Recording(str(tmp_path / "c.parquet")) as other:
        assert [each.count for each in one.batches()] == [each.count for each in other.batches()] == [1, 1, 1]
    assert len((tmp_path / "d.json").read_text().splitlines()) == 3
    assert sorted(os.listdir(tmp_path)) == ["a.parquet", "b.arrow", "c.parquet", "d.json"]


def test_entries_of_maps_are_drawn_round_by_round(tmp_path, capsys):
    with (tmp_path / "a.arrow").open("wb") as sink:
        recorder = Recorder(sink, [("counts", CLOSED)], NAMES, ABOUT, {CLOSED: {"type": "log2_hist", "unit": "us"}})
        for pid in (1, 2):
            recorder.write(batch(CLOSED, closed(pid, 5)))
            recorder.passed()
        recorder.finish(ACCOUNT)

    out, _ = shown(capsys, "replay", str(tmp_path / "a.arrow"), "--group-by", "pid", "--sum", "ns", "-o", "json")

    assert [json.loads(line) for line in out.splitlines()] == [{"pid": 1, "ns": 5}, {"pid": 2, "ns": 5}]


def test_what_a_killed_run_left_is_shown_and_made_whole(tmp_path, capsys):
    part = written(tmp_path / "a.arrow.part", end=False)
    out, err = shown(capsys, "replay", str(part), "-o", "json")

    assert len(out.splitlines()) == 4
    assert "its run was killed" in err
    shown(capsys, "replay", str(part), "--to", str(tmp_path / "whole.parquet"))
    assert parquet.read_table(tmp_path / "whole.parquet").num_rows == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "parquet", "--sort", "pid"], "takes --filter alone"),
        (["--to", "/tmp/a.unknown"], "does not tell how to write it"),
        (["--to", "/proc/none/a.json"], "cannot be written"),
        (["-o", "csv"], "CSV has one header"),
        (["-o", "arrow", "--filter", "nothing > 3"], "there is no field nothing"),
        (["--fields", "nothing"], "there is no field nothing"),
    ],
)
def test_what_does_not_go_together_is_told(recording, capsys, options, message):
    assert main(["replay", recording, *options]) == 2
    assert message in capsys.readouterr().err


def test_a_damaged_recording_is_told(tmp_path, capsys):
    (tmp_path / "a").write_bytes(b"PAR1" + bytes(100))

    assert main(["replay", str(tmp_path / "a")]) == 1
    assert "damaged" in capsys.readouterr().err


def test_an_account_that_is_none_is_told(tmp_path, capsys):
    with (tmp_path / "a").open("wb") as sink:
        Recorder(sink, [("events", OPENED)], NAMES, ABOUT, {}).finish({"events": 3, "lost": None})

    assert main(["replay", str(tmp_path / "a")]) == 1
    assert "account" in capsys.readouterr().err


def test_a_question_is_answered(recording, tmp_path, capsys):
    question = "select comm, count(*) as n, max(ns) from events group by comm order by n desc, comm"

    out, _ = shown(capsys, "query", recording, question)
    assert out == ("COMM          N  MAX(NS)\ncat           2\n\\xff\\x1b[31m  1\n              1     1500\n")
    stream = str(written(tmp_path / "a.arrow", end=False))
    for file in (recording, stream):
        out, _ = shown(capsys, "query", file, "select pid, comm from events order by pid desc limit 1", "-o", "json")
        assert json.loads(out) == {"pid": 8, "comm": "\\xff\x1b[31m"}
        assert "\x1b" not in out
        out, _ = shown(
            capsys, "query", file, "select comm as c, max(ns) from events group by c having c is null", "-o", "csv"
        )
        assert out.splitlines() == ["c,max(ns)", ",1500"]


def test_a_wrong_question_is_pointed_to(recording, capsys):
    assert main(["query", recording, "select nothing from events"]) == 2
    err = capsys.readouterr().err
    assert "nothing" in err
    assert "describe events" in err


@pytest.mark.parametrize(("content", "code"), [(b"", 1), (b"PAR1 cut", 1), (b"text", 1), (None, 2)])
def test_a_file_that_cannot_be_asked_is_told(tmp_path, capsys, content, code):
    if content is not None:
        (tmp_path / "a").write_bytes(content)

    assert main(["query", str(tmp_path / "a"), "select 1"]) == code
    assert str(tmp_path / "a") in capsys.readouterr().err


def test_any_parquet_is_asked(tmp_path, capsys):
    parquet.write_table(pa.table({"a": [1, 2]}), tmp_path / "a[1]*.parquet")

    assert shown(capsys, "query", str(tmp_path / "a[1]*.parquet"), "select sum(a) from events")[0] == "SUM(A)\n     3\n"


def test_columns_go_to_a_pipe_and_not_to_a_terminal(recording):
    command = [sys.executable, "-m", "skep", "replay", recording, "-q", "-o", "arrow"]
    piped = subprocess.run(command, capture_output=True, check=True)
    with pa.ipc.open_stream(piped.stdout) as stream:
        assert stream.read_all().num_rows == sum(each.count for each in BATCHES)
    terminal = subprocess.run(
        ["script", "-qec", " ".join(command), "/dev/null"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert "is not for a terminal" in terminal.stdout
