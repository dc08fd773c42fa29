"""`skep guard watch --run`: a command that reads alarms slowly, or not at all."""

from __future__ import annotations

import os
import re

from skep.cli import handler as module
from skep.cli.handler import Handler


def test_a_command_reads_each_alarm_in_turn_while_the_watch_goes_on(tmp_path, capsys) -> None:
    taken = tmp_path / "taken"
    for name in ("first", "second"):
        os.mkfifo(tmp_path / name)
    handler = Handler(["sh", "-c", 'read alarm; cat "$0/$alarm" >> "$0/taken"', str(tmp_path)])
    handler.take("first\n")
    handler.take("second\n")
    # The command waits for this; whoever hands over does not.
    for name in ("first", "second"):
        (tmp_path / name).write_text(f"{name}\n")
    handler.close()
    assert taken.read_text() == "first\nsecond\n"
    assert capsys.readouterr().err == ""


def test_what_a_command_did_not_get_is_told(monkeypatch, capsys) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    handler = Handler(["sleep", "60"])
    for _ in range(5):
        handler.take("alarm\n")
    handler.close()
    said = capsys.readouterr().err
    assert "skep: --run sleep: " in said
    assert "timed out" in said
    left = re.search(r"(\d) alarms were not handed over", said)
    assert left
    assert int(left[1]) >= 2


def test_a_command_that_cannot_be_run_is_told(capsys) -> None:
    handler = Handler(["/nowhere/command"])
    handler.take("alarm\n")
    handler.close()
    assert "skep: --run /nowhere/command: [Errno 2]" in capsys.readouterr().err
