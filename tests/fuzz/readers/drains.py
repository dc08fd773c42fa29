"""The C readers of ring and perf buffers, over rings made by hand.

An input says of which kind the buffer is (1 byte), how many pages its data has as a power of two (1), where it begins
and how far the producer is ahead (8 each), up to which time it is read (8), how many bytes and records the reader takes
at once (4, 2), and what the buffer holds.
"""

from __future__ import annotations

import ctypes
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from random import Random

from tests.fuzz import mutation

_HEAD = struct.Struct("=BBQQQIH")
_EIO = 5
_RING, _PERF, _TIMED = range(3)
_BUSY, _DISCARDED = 1 << 31, 1 << 30
_SAMPLE, _LOST = 9, 2


@cache
def _library() -> ctypes.CDLL:
    """drain.c, made to stop where C leaves open what happens. Beside it, `fuzz_drain` of tests/fuzz/drain.c."""
    source = Path(__file__).parents[1] / "drain.c"
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/drain.so"
        checks = ["-fsanitize=undefined", "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror"]
        options = ["-D_GNU_SOURCE", "-O1", "-g", *checks, "-shared", "-fPIC"]
        subprocess.run(["gcc", *options, source, "-lbpf", "-o", path], check=True)
        return ctypes.CDLL(path)


def _ring(*records: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack("=II", len(data) | flags, 0) + data + bytes(-len(data) % 8) for flags, data in records)


def _perf(*records: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack("=IHH", kind, 0, 8 + len(data)) + data for kind, data in records)


def _sample(data: bytes, time: int | None = None) -> tuple[int, bytes]:
    # With the size in front, the kernel pads a record to a multiple of 8.
    data += bytes(-(len(data) + 4) % 8)
    return _SAMPLE, (b"" if time is None else struct.pack("=Q", time)) + struct.pack("=I", len(data)) + data


def seeds() -> list[bytes]:
    _library()
    rings = [_ring((0, b"a" * 8), (_DISCARDED, b"b" * 24), (0, b"c" * 5), (_BUSY, b"d" * 8), (0, b"e"))]
    rings += [_ring(*((0, bytes([index]) * 100) for index in range(30)))]
    perfs = [_perf(_sample(b"a" * 4), (_LOST, struct.pack("=QQ", 1, 7)), _sample(b"b" * 60), (1, b"unknown."))]
    perfs += [_perf(*(_sample(bytes([index]) * 100) for index in range(30)))]
    timed = [_perf(*(_sample(bytes([index]) * 20, index * 10) for index in range(30)))]
    return [
        _HEAD.pack(kind, 0, start, len(data), 250, capacity, limit) + data
        for kind, contents in ((_RING, rings), (_PERF, perfs), (_TIMED, timed))
        for data in contents
        for start in (0, 4096 - 16, 1 << 40)
        for capacity, limit in ((65536, 100), (128, 3))
    ]


def mutated(random: Random, seed: bytes) -> bytes:
    kind, pages, start, ahead, until, capacity, limit = _HEAD.unpack_from(seed)
    body = bytearray(seed[_HEAD.size :])
    for _ in range(random.choice([1, 1, 2, 4])):
        size = random.choice([2, 4, 8])
        place = random.randrange(0, len(body) - 7, 8 if size == 4 else 2)
        old = int.from_bytes(body[place : place + size], "little")
        mutation.put(body, place, size, mutation.number(random, size, old, [len(body), 8, 9, 11, 4088]))
    if random.random() < 0.3:
        start = mutation.number(random, 8, start, [0, 8, 4095])
    if random.random() < 0.3:
        ahead = mutation.number(random, 8, ahead, [4096, 8192, 8])
        until = mutation.number(random, 8, until, [10, 300])
    if random.random() < 0.3:
        pages, capacity, limit = random.randrange(4), random.randrange(1 << 17), random.randrange(1 << 10)
    return _HEAD.pack(kind, pages, start, ahead, until, capacity, limit) + body


def read(data: bytes) -> None:
    kind, pages, start, ahead, until, capacity, limit = _HEAD.unpack_from(data.ljust(_HEAD.size, b"\0"))
    body = data[_HEAD.size :]
    error = _library().fuzz_drain(
        kind % 3,
        pages & 3,
        ctypes.c_uint64(start),
        ctypes.c_uint64(ahead),
        body,
        ctypes.c_size_t(len(body)),
        ctypes.c_uint64(until),
        ctypes.c_size_t(capacity % (1 << 20)),
        limit,
    )
    assert error in {0, -_EIO}, f"drained with {error}"
