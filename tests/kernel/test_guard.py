"""What `skep run` records, the guard learns from: no step between."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from skep.guard.behaviour import PASSED, call_name
from skep.guard.judging import Judge
from skep.guard.profile import learn
from skep.guard.reading import read_run

SKEP = str(Path(sys.executable).with_name("skep"))
COPY = "for name in one two three four; do cp /etc/hostname $0.$name; rm $0.$name; done"
FOREIGN = (
    "; for n in 1 2 3 4 5 6 7 8; do chmod 700 $0; chown 0 $0; ln -s x $0.link; mv $0.link $0.moved; rm $0.moved; done"
)


def record(path, *arguments):
    """What skep says while it records."""
    with open(path, "wb") as file:
        command = [SKEP, "run", "behaviour", "--as-root", "-o", "json", *arguments]
        return subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True, check=True).stderr


def recorded(path: Path, script: str):
    """A run of a shell's script, recorded by skep."""
    assert ", 0 lost" in record(path, "--", "sh", "-c", script, str(path))
    return read_run(str(path), os.uname().machine)


def test_what_run_writes_is_learned_and_what_is_foreign_found(tmp_path):
    runs = [recorded(tmp_path / f"{number}.json", COPY) for number in range(6)]
    profile = learn(runs, os.uname().machine)

    assert set(profile.roles) == {"sh", "cp", "rm"}
    assert all(role.seconds > 0 for role in profile.roles.values())
    lines = [line for number in range(6) for line in (tmp_path / f"{number}.json").read_text().splitlines()]
    assert profile.calls == sum(json.loads(line)["syscall_name"] not in PASSED for line in lines)
    judge = Judge(profile, force=True)
    again, attack = recorded(tmp_path / "again.json", COPY), recorded(tmp_path / "attack.json", COPY + FOREIGN)
    assert judge.judge(attack).rarity > judge.judge(again).rarity
    called = {one.what for alarm in judge.judge(attack).alarms for one in alarm.evidence if one.kind == "call"}
    assert called & {"fchmodat", "fchownat", "symlinkat", "renameat2"}
    # What skep does to start the command is not the command's doing.
    first = json.loads((tmp_path / "again.json").read_text().splitlines()[0])
    assert (first["syscall_name"], first["comm"], os.path.basename(first["child"])) == ("execve", "sh", "sh")
    items = profile.roles["cp"].items
    assert ("path", "/etc/hostname") in items
    kinds = {kind for role in profile.roles.values() for kind, _ in role.items}
    assert {"path", "child", "arguments", "result"} <= kinds


def test_events_that_found_the_buffer_full_are_missed_where_they_are_missing(tmp_path):
    path = tmp_path / "lost.json"
    copy = ["dd", "if=/dev/zero", "of=/dev/null", "count=20000", "status=none"]
    said = record(path, "--map", "events.max_entries=4096", "--", *copy)

    run = read_run(str(path), os.uname().machine)
    (trace,) = run.traces
    found, lost = re.search(r"(\d+) lost", said), trace.lost
    assert found is not None
    assert lost is not None
    assert 0 < run.lost <= int(found[1])
    # Reads and writes take turns: behind a hole of even length it is the other one's.
    calls = [call_name(code, os.uname().machine) for code in trace.calls.tolist()]
    first, last = calls.index("write"), len(calls) - 1 - calls[::-1].index("write")
    turns = [(calls[here] != calls[here - 1], lost[here] % 2 == 0) for here in range(first + 1, last + 1)]
    assert {"read", "write"} >= set(calls[first : last + 1])
    assert all(other == even for other, even in turns)
