"""Twenty cycles of load, attach, detach and close leave nothing; bench/run cycles makes more of them, of every kind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CYCLES = Path(__file__).parent.parent.parent / "bench" / "cycles.py"


@pytest.mark.parametrize("options", [[], ["--pinned"]], ids=["attached", "pinned"])
def test_cycles_leave_nothing(options):
    command = [sys.executable, str(CYCLES), "--cycles", "20", *options, "raw_tp", "tp", "perf_event", "iter"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        [kind, "20"] for kind in ("raw_tp", "tp", "perf_event", "iter")
    ]
