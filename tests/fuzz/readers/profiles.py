"""Profiles of the guard: bytes changed, or rows, with the checksum that belongs to them: what loads can judge."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np

from skep.guard.behaviour import Run, Trace
from skep.guard.judging import Judge
from skep.guard.profile import learn
from skep.guard.store import _checksum, load, save
from tests.fuzz import mutation


def _run(first: int, *, items: bool) -> Run:
    calls = np.arange(first, first + 300, dtype=np.uint64) % 9 + 1
    more = [(3, "path", "/etc/hosts"), (5, "peer", "10.0.0.1:443")] if items else []
    return Run(str(first), [Trace(calls, "bee", times=np.arange(300.0), items=more)])


@cache
def seeds() -> list[bytes]:
    found = []
    with TemporaryDirectory() as folder:
        for items in (False, True):
            path = Path(folder, "profile")
            save(learn([_run(first, items=items) for first in range(6)], "x86_64"), str(path))
            found.append(path.read_bytes())
    return found


def mutated(random: Random, seed: bytes) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder, "profile")
        path.write_bytes(seed)
        with closing(sqlite3.connect(path)) as database:
            table = random.choice(["calibration", "roles", "grams", "items", "mixes", "meta"])
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            rows = database.execute(f"SELECT rowid, * FROM {table}").fetchall()
            if not rows:
                return mutation.plain(random, seed)
            row, place = random.choice(rows), random.randrange(len(columns))
            value = row[place + 1]
            if isinstance(value, bytes) and random.random() < 0.8:
                value = mutation.plain(random, value)
            else:
                value = random.choice([0, -1, 1 << 62, 0.0, float("inf"), "", "x", b"", value])
            # A key takes numbers only.
            with suppress(sqlite3.IntegrityError):
                database.execute(f"UPDATE OR REPLACE {table} SET {columns[place]} = ? WHERE rowid = ?", (value, row[0]))
            database.execute("UPDATE meta SET value = ? WHERE name = 'checksum'", (_checksum(database),))
            database.commit()
        return path.read_bytes()


def read(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "profile")
        path.write_bytes(data)
        profile = load(str(path))
        Judge(profile, force=True).judge(_run(4, items=True))
