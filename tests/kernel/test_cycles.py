"""Twenty cycles of load, attach, detach and close leave nothing; bench/run cycles makes more of them, of every kind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Of most modules of kernel/link that this kernel has, one; and some of those that can be pinned.
ATTACHED = "raw_tp tp tp_btf perf_event iter syscall uprobe.multi xdp tc tcx socket netfilter sk_lookup sk_msg cgroup"
KINDS = {"attached": ATTACHED.split(), "pinned": ["raw_tp", "tp", "perf_event", "iter", "xdp", "cgroup"]}
CYCLES = Path(__file__).parent.parent.parent / "bench" / "cycles.py"


@pytest.mark.parametrize("what", KINDS)
def test_cycles_leave_nothing(what):
    options = ["--pinned"] if what == "pinned" else []
    command = [sys.executable, str(CYCLES), "--cycles", "20", *options, *KINDS[what]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [[kind, "20"] for kind in KINDS[what]]
