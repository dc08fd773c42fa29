"""Traces that the guard learns from: numbers or names of calls, or events; what is read is learned and judged."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from skep.guard.judging import Judge
from skep.guard.profile import learn
from skep.guard.reading import ARCHITECTURES, read_run
from tests.fuzz import mutation

_EVENT: dict[str, int | str] = {
    "ts": 7,
    "pid": 7,
    "tid": 8,
    "ret": -2,
    "syscall": 257,
    "ppid": 1,
    "lost": 0,
    "depth": 1,
    "compat": 0,
}
_EVENT |= {"comm": "bee-1", "arguments": "0x80000", "path": "/proc/7/stat", "peer": "10.0.0.1:443", "child": "/bin/sh"}


@cache
def seeds() -> list[bytes]:
    events = [{**_EVENT, "ts": 7 + place, "tid": place % 2, "syscall": place % 9} for place in range(20)]
    lines = [json.dumps(event).encode() for event in (*events[:9], {"lost": 3}, *events[9:])]
    return [b"\n".join(lines), b"3 4 5 -1 999 " * 20, b"read write\nclose\topenat " * 20]


def mutated(random: Random, seed: bytes) -> bytes:
    if not seed.startswith(b"{"):
        words = seed.split()
        for _ in range(random.randrange(1, 5)):
            words[random.randrange(len(words))] = random.choice(
                [b"0", b"-", b"9" * 30, b"_", b"waitpid", b"\xff", b"{"]
            )
        return b" ".join(words)
    lines = seed.split(b"\n")
    place = random.randrange(len(lines))
    lines[place] = mutation.json_bytes(mutation.json_value(random, json.loads(lines[place])))
    return b"\n".join(lines)


def read(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "trace")
        path.write_bytes(data)
        run = read_run(str(path), ARCHITECTURES[len(data) % len(ARCHITECTURES)])
    profile = learn([run, run], "x86_64")
    Judge(profile, force=True).judge(run)
