"""Keeps a profile in a file: one SQLite database, written whole and put in place at once, read whole or not at all.

Its application id says that it is a profile, its user version of which kind. The last row of `meta` is the SHA-256 of
all the others: what was cut short, changed, or written by another version is refused before anything of it is used.

    meta(name, value)                        program, cgroup, build ids, architecture; the checksum
    calibration(role, voice, step, data)     held-out scores: value and weight, 64-bit floats; role NULL is whole runs
    roles(name, seconds)
    grams(role, kind, data)                  sequences (key, count) and pairs (key, runs), as differences, compressed
    items(role, kind, value, count, runs, first, last)
    mixes(position, run, data)               of each run: (code, count), 32-bit numbers

The checksum finds damage; it is no signature. Whoever may write the file may make another profile.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import zlib
from contextlib import closing, contextmanager, suppress
from hashlib import sha256

import numpy as np

from skep.base.destination import check_place
from skep.base.errors import ProfileError, SourceNotFoundError
from skep.guard.behaviour import BITS
from skep.guard.grams import Grams
from skep.guard.mix import Mixes
from skep.guard.profile import Item, Profile, Program, Role
from skep.guard.tail import Tail
from skep.guard.voices import RUN_VOICES, WINDOW_VOICES, Calibration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    Array = np.ndarray[Any, Any]

__all__ = ["VERSION", "alone", "load", "save"]

VERSION = 2
_APPLICATION = int.from_bytes(b"skep", "big")
_TABLES = {
    "meta": "name TEXT PRIMARY KEY, value TEXT NOT NULL",
    "calibration": "role TEXT, voice TEXT NOT NULL, step REAL NOT NULL, data BLOB NOT NULL",
    "roles": "name TEXT PRIMARY KEY, seconds REAL NOT NULL",
    "grams": "role TEXT NOT NULL, kind TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (role, kind)",
    "items": "role TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, count INTEGER NOT NULL, "
    "runs INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (role, kind, value)",
    "mixes": "position INTEGER PRIMARY KEY, run TEXT NOT NULL, data BLOB NOT NULL",
}
# More than any profile unpacks to: a forged blob cannot fill the memory.
_LARGEST = 1 << 28


@contextmanager
def alone(path: str) -> Iterator[None]:
    """While it lasts nobody else who asks so, too, changes a profile of this folder.

    Args:
        path: of a profile, which need not be there.

    Raises:
        OSError: there is no such folder.
    """
    # The file itself is replaced, and a lock of it with it.
    descriptor = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def save(profile: Profile, path: str) -> None:
    """Writes a profile; whoever reads the path meanwhile sees the old file or the new one, whole.

    Raises:
        UsageError: there is something else than a file.
        OSError: the file cannot be written.
    """
    check_place(path)
    written = f"{path}.{os.getpid()}.new"
    # Whose profile it is, and what it does, is nobody else's business.
    os.close(os.open(written, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(sqlite3.connect(written)) as database:
            database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.execute(f"PRAGMA user_version = {VERSION}")
            for name, columns in _TABLES.items():
                database.execute(f"CREATE TABLE {name} ({columns})")
            _fill(database, profile)
            database.execute("INSERT INTO meta VALUES ('checksum', ?)", (_checksum(database),))
            database.commit()
        with open(written, "rb") as file:
            os.fsync(file.fileno())
        os.replace(written, path)
    except sqlite3.Error as error:
        raise OSError(None, str(error), path) from None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(written)


def _fill(database: sqlite3.Connection, profile: Profile) -> None:
    program = profile.program
    meta = {
        "architecture": profile.architecture,
        "program": program.path,
        "cgroup": program.cgroup,
        "build_ids": json.dumps(program.build_ids),
    }
    database.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    calibrations: list[tuple[str | None, Mapping[str, float], Calibration]] = [(None, RUN_VOICES, profile.runs)]
    for name, role in profile.roles.items():
        database.execute("INSERT INTO roles VALUES (?, ?)", (name, role.seconds))
        grams = role.grams
        blobs = [("sequences", _pack(grams.keys, grams.counts)), ("pairs", _pack(grams.pairs, grams.runs))]
        database.executemany("INSERT INTO grams VALUES (?, ?, ?)", [(name, kind, blob) for kind, blob in blobs])
        rows = [(name, *key, item.count, item.runs, item.first, item.last) for key, item in role.items.items()]
        database.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        calibrations.append((name, WINDOW_VOICES, role.windows))
    for owner, voices, calibration in calibrations:
        for voice, tail in zip((*voices, "fused"), (*calibration.tails, calibration.fused), strict=True):
            data = zlib.compress(np.append(tail.values, tail.weights).astype("<f8").tobytes())
            database.execute("INSERT INTO calibration VALUES (?, ?, ?, ?)", (owner, voice, tail.step, data))
    for position, (run, counts) in enumerate(zip(profile.mixes.names, profile.mixes.counts, strict=True)):
        made = np.flatnonzero(counts)
        data = np.append(made, np.minimum(counts[made], (1 << 31) - 1)).astype("<i4").tobytes()
        database.execute("INSERT INTO mixes VALUES (?, ?, ?)", (position, run, data))


def _checksum(database: sqlite3.Connection) -> str:
    digest = sha256()
    for table in _TABLES:
        where = "WHERE name != 'checksum'" if table == "meta" else ""
        for row in database.execute(f"SELECT * FROM {table} {where} ORDER BY rowid"):  # noqa: S608 - names of ours
            digest.update(repr((table, row)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def load(path: str) -> Profile:
    """Reads a profile.

    Raises:
        SourceNotFoundError: there is no such file.
        ProfileError: it is no profile, or one of another version, or damaged.
    """
    if not os.path.isfile(path):
        raise SourceNotFoundError(
            f"{path}: no such profile",
            remedy="`skep guard learn` makes one; `skep guard status` lists those that there are.",
        )
    try:
        # Opened as what it is: a file that nobody changes, without a journal to recover from.
        with closing(sqlite3.connect(f"file:{_quoted(path)}?mode=ro&immutable=1", uri=True)) as database:
            return _read(path, database)
    except ProfileError:
        raise
    except (sqlite3.Error, zlib.error, ValueError, KeyError, IndexError, TypeError, OverflowError):
        raise _damaged(path) from None


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(os.path.abspath(path))


def _damaged(path: str) -> ProfileError:
    return ProfileError(f"{path} is damaged, or no profile", remedy="Take a copy of it, or learn anew.")


def _read(path: str, database: sqlite3.Connection) -> Profile:
    if _pragma(database, "application_id") != _APPLICATION:
        raise _damaged(path)
    version = _pragma(database, "user_version")
    if version != VERSION:
        raise ProfileError(
            f"{path} is a profile of version {version}, and this skep reads version {VERSION}",
            remedy="Learn anew from the recordings, or use the skep that wrote it.",
        )
    meta = dict(database.execute("SELECT name, value FROM meta"))
    if meta["checksum"] != _checksum(database):
        raise _damaged(path)
    program = Program(meta["program"], json.loads(meta["build_ids"]), meta["cgroup"])
    roles = {
        name: _role(database, name, _number(seconds))
        for name, seconds in database.execute("SELECT name, seconds FROM roles")
    }
    if not roles:
        raise ValueError("a profile has a role")
    runs = _calibration(database, None, RUN_VOICES, leads=True)
    return Profile(program, meta["architecture"], roles, runs, _mixes(database))


def _number(value: object) -> float:
    if not isinstance(value, float) or not 0 <= value < np.inf:
        raise ValueError("a number, not negative")
    return value


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])


def _role(database: sqlite3.Connection, name: str, seconds: float) -> Role:
    blobs = dict(database.execute("SELECT kind, data FROM grams WHERE role = ?", (name,)))
    grams = Grams(*_unpack(blobs["sequences"]), *_unpack(blobs["pairs"]))
    columns = "kind, value, count, runs, first, last"
    rows = database.execute(f"SELECT {columns} FROM items WHERE role = ?", (name,))  # noqa: S608 - names of ours
    items = {(str(kind), str(value)): Item(*map(int, numbers)) for kind, value, *numbers in rows}
    return Role(grams, items, _calibration(database, name, WINDOW_VOICES, leads=False), seconds)


def _calibration(database: sqlite3.Connection, role: str | None, voices: Iterable[str], *, leads: bool) -> Calibration:
    rows = database.execute("SELECT voice, step, data FROM calibration WHERE role IS ?", (role,))
    tails = {}
    for voice, step, data in rows:
        values, weights = np.frombuffer(_inflate(data), "<f8").reshape(2, -1)
        if not _number(step) or weights.min(initial=1) <= 0:
            raise ValueError("a step and weights are above 0")
        tails[voice] = Tail(values, weights, step=step)
    return Calibration([tails[voice] for voice in voices], tails["fused"], leads=leads)


def _mixes(database: sqlite3.Connection) -> Mixes:
    rows = list(database.execute("SELECT run, data FROM mixes ORDER BY position"))
    if not rows:
        raise ValueError("a profile has runs")
    counts = np.zeros((len(rows), 1 << BITS), np.int64)
    for row, (_, data) in zip(counts, rows, strict=True):
        made, often = np.frombuffer(data, "<i4").reshape(2, -1)
        row[made] = often
    return Mixes([run for run, _ in rows], counts)


def _pack(keys: Array, counts: Array) -> bytes:
    """Ascending keys as differences, and counts; equal bytes side by side, which zlib packs best."""
    return zlib.compress(b"".join(_planes(column) for column in (np.diff(keys.astype("<i8"), prepend=0), counts)), 9)


def _planes(column: Array) -> bytes:
    return column.astype("<i8").view(np.uint8).reshape(-1, 8).T.tobytes()


def _unpack(blob: bytes) -> Iterator[Array]:
    numbers = np.frombuffer(_inflate(blob), np.uint8).reshape(2, 8, -1)
    steps, counts = (np.ascontiguousarray(planes.T).view("<i8").ravel() for planes in numbers)
    if not len(steps) or (steps[1:].min(initial=1) < 1 or steps[0] < 0 or counts.min() < 1):
        raise ValueError("there are keys, they ascend, and counts are positive")
    yield np.cumsum(steps).astype(np.uint64)
    yield counts.astype(np.int64)


def _inflate(blob: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(blob, _LARGEST)
    if not unpacker.eof:
        raise ValueError("cut short, or larger than any profile")
    return data
