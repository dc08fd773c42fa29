"""A thousand commands in a row: nothing grows. In CI they are thirty; `make test-all` runs them all."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from skep.session.run import Run

COMMANDS = 1000 if os.environ.get("SKEP_ALL") == "1" else 30
# Bytes: some for the allocator, whatever the number, and for each command less than an object takes.
ROOM, GROWTH = 2 << 20, 512


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_commands_in_a_row(program):
    spec = program("tracepoint")

    def trace() -> None:
        with Run(spec, command=["rm", "-f", "/nowhere"], stdout=2) as run:
            rows = [row for batch in run.batches(duration=60) for row in batch.rows()]
            summary = run.summary()
        assert [row.comm for row in rows] == ["rm"]
        assert summary.command == ("rm", 0)

    # What is kept on purpose is there after a few.
    for _ in range(10):
        trace()
    descriptors, resident = os.listdir("/proc/self/fd"), _resident()
    for _ in range(COMMANDS):
        trace()

    assert _resident() - resident < ROOM + GROWTH * COMMANDS
    assert os.listdir("/proc/self/fd") == descriptors
