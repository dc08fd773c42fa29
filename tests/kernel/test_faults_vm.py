"""kill -9 of a virtual machine and of what runs it: no process stays, no folder beyond the next boot, which works."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from skep.vm import NO_STATUS

pytestmark = pytest.mark.skipif("SKEP_VM_KERNEL" in os.environ, reason="a guest boots no guest of its own")


@pytest.fixture
def boot(tmp_path: Path):
    """boot(command): starts a virtual machine whose folder is in one of the test's own."""

    def boot(command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "skep.vm", "--timeout", "300", "--", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )

    return boot


def _named(pid: int, name: str) -> list[int]:
    """The children of a process that have a name."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if Path(f"/proc/{child}/comm").read_text().startswith(name)]
    except FileNotFoundError:
        return []


def _emulator(machine: subprocess.Popen[str]) -> int:
    """The process that is the machine, as soon as it is there."""
    while not (found := _named(machine.pid, "qemu-system")):
        assert machine.poll() is None, machine.communicate()[0]
        time.sleep(0.01)
    return found[0]


def _gone(pid: int) -> bool:
    end = time.monotonic() + 20
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
        time.sleep(0.01)
    return not os.path.exists(f"/proc/{pid}")


def test_killed(boot, tmp_path):
    machine = boot("true")
    os.kill(_emulator(machine), 9)
    said, _ = machine.communicate(timeout=60)

    assert machine.returncode == NO_STATUS
    assert "the guest ended without an exit status" in said
    assert os.listdir(tmp_path) == []

    machine = boot("true")
    processes = [_emulator(machine), *_named(machine.pid, "virtiofsd")]
    machine.kill()
    machine.communicate()

    assert len(processes) == 4
    assert all(_gone(pid) for pid in processes)
    assert len(os.listdir(tmp_path)) == 1

    machine = boot("true")
    said, _ = machine.communicate(timeout=300)

    assert machine.returncode == 0, said
    assert os.listdir(tmp_path) == []
