"""What `skep run` records, the guard learns from: no step between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from skep.guard.judging import Judge
from skep.guard.profile import learn
from skep.guard.reading import read_run

ROOT = Path(__file__).parent.parent.parent
COPY = "for name in one two three four; do cp /etc/hostname $0.$name; rm $0.$name; done"
FOREIGN = (
    "; for n in 1 2 3 4 5 6 7 8; do chmod 700 $0; chown 0 $0; ln -s x $0.link; mv $0.link $0.moved; rm $0.moved; done"
)


def recorded(path: Path, script: str):
    """A run of a shell's script, recorded by skep."""
    skep = [str(Path(sys.executable).with_name("skep")), "run", str(ROOT / "bench/guard/syscalls.bpf.c"), "--as-root"]
    with open(path, "wb") as file:
        command = [*skep, "-o", "json", "--", "sh", "-c", script, str(path)]
        finished = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True, check=True)
    assert ", 0 lost" in finished.stderr
    return read_run(str(path), os.uname().machine)


def test_what_run_writes_is_learned_and_what_is_foreign_found(tmp_path):
    runs = [recorded(tmp_path / f"{number}.json", COPY) for number in range(6)]
    profile = learn(runs, os.uname().machine)

    assert set(profile.roles) == {"sh", "cp", "rm"}
    assert all(role.seconds > 0 for role in profile.roles.values())
    assert profile.calls == sum(len((tmp_path / f"{number}.json").read_text().splitlines()) for number in range(6))
    judge = Judge(profile, force=True)
    again, attack = recorded(tmp_path / "again.json", COPY), recorded(tmp_path / "attack.json", COPY + FOREIGN)
    assert judge.judge(attack).rarity > judge.judge(again).rarity
    called = {one.what for alarm in judge.judge(attack).alarms for one in alarm.evidence if one.kind == "call"}
    assert called & {"fchmodat", "fchownat", "symlinkat", "renameat2"}
    assert json.loads((tmp_path / "again.json").read_text().splitlines()[0])["comm"] != ""
