"""What only a machine of one's own may be made to suffer: renamed interfaces, a stepped clock, CPUs and memory that go.

Runs inside: tests/vm/run .venv/bin/python -m pytest tests/vm/test_faults.py
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from skep._native import ffi, lib
from skep.base.errors import LoadError
from skep.session.run import Run
from skep.spec.targets import Targets

pytestmark = pytest.mark.skipif("SKEP_VM_KERNEL" not in os.environ, reason="not inside a guest of skep.vm")

PROGRAMS = Path(__file__).parents[1] / "programs"
CPU = Path("/sys/devices/system/cpu/cpu1/online")
INSTANCES = Path("/sys/kernel/tracing/instances")


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def _programs() -> set[int]:
    """The ids of all programs in the kernel, which frees them a moment after their last user has gone."""
    found, number = set(), ffi.new("uint32_t *")
    while not lib.bpf_prog_get_next_id(number[0], number):
        found.add(number[0])
    return found


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    before = _programs()
    yield
    end = time.monotonic() + 20
    while (left := _programs() - before) and time.monotonic() < end:
        time.sleep(0.1)
    assert not left


@pytest.fixture
def interface() -> Iterator[str]:
    ip("link", "add", "skep-old", "type", "veth", "peer", "name", "skep-peer")
    ip("link", "set", "skep-old", "up")
    yield "skep-old"
    for name in ("skep-old", "skep-new"):
        subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)


@pytest.mark.parametrize("name", ["driver", "filter"])
def test_an_interface_renamed_while_attached(name, interface, program):
    spec = program("network")
    with Run(spec, without=spec.programs.keys() - {name}, targets=Targets(iface=interface)) as run:
        ip("link", "set", interface, "down")
        ip("link", "set", interface, "name", "skep-new")
        ip("link", "set", "skep-new", "up")

        assert run.attached == [name]
        assert name not in run.summary().not_attached
    assert "xdp" not in ip("link", "show", "skep-new")
    assert "clsact" not in subprocess.run(["tc", "qdisc", "show"], check=True, capture_output=True, text=True).stdout


def test_the_clock_set_while_a_run_is_on(skep):
    """Records are shown by the clock as it is when they come."""
    script = "rm -f /nowhere; sleep 1; date -s '+1 hour' > /dev/null; rm -f /nowhere; sleep 1; date -s '-1 hour' >&2"
    started = time.time()
    finished = subprocess.run(
        [*skep, "run", str(PROGRAMS / "tracepoint.bpf.o"), "-o", "json", "--", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert finished.returncode == 0, finished.stderr
    first, second = (datetime.fromisoformat(json.loads(line)["time_iso"]) for line in finished.stdout.splitlines())
    assert started <= first.timestamp() <= time.time()
    assert 3600 < (second - first).total_seconds() < 3660


@pytest.fixture
def both_cpus() -> Iterator[None]:
    affinity = os.sched_getaffinity(0)
    yield
    CPU.write_text("1")
    os.sched_setaffinity(0, affinity)


def _unlink(cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})
    # unlink() with a folder is unlinkat(2), which the program is on.
    folder = os.open("/tmp", os.O_RDONLY)
    with suppress(FileNotFoundError):
        os.unlink("nowhere", dir_fd=folder)
    os.close(folder)


def _cpus(run: Run) -> Counter[int | None]:
    """How many records each CPU sent."""
    return Counter(batch.cpu for batch in run.batches(duration=0.5) for _ in batch.rows())


@pytest.mark.usefixtures("both_cpus")
def test_a_cpu_that_goes_is_no_failure_and_one_that_comes_back_is_named(program):
    spec = program("perf")
    spec.variables["pid_filter"].value = os.getpid()
    with Run(spec) as run:
        _unlink(0)
        _unlink(1)
        os.sched_setaffinity(0, {0})
        CPU.write_text("0")
        _unlink(0)

        # What it had sent before it went is there.
        assert _cpus(run) == {0: 2, 1: 1}
        assert run.summary().unheard == []

        CPU.write_text("1")
        _unlink(0)
        _unlink(1)

        assert _cpus(run) == {0: 1}
        assert run.summary().unheard == [1]


def test_more_memory_asked_for_than_there_is(program):
    # 127 addresses each: 4 GB, on a machine of two.
    with pytest.raises(LoadError, match="map stacks of 4194304 entries cannot be created: Cannot allocate") as caught:
        program("sizes").load(sizes={"stacks": 1 << 22})

    assert caught.value.remedy == "Ask for fewer: --map stacks.max_entries=N."


def test_memory_exhausted_ends_skep_and_leaves_nothing(skep):
    group = Path("/sys/fs/cgroup/skep-faults")
    (group.parent / "cgroup.subtree_control").write_text("+memory")
    group.mkdir()
    join = f'echo $$ > {group}/cgroup.procs; exec "$@"'
    process = subprocess.Popen(
        ["sh", "-c", join, "sh", *skep, "run", "hello", "--", "sleep", "4000"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any("attached" in line for line in process.stderr)
    (group / "memory.max").write_text("1M")

    assert process.wait(timeout=60) == -9
    process.stderr.close()
    end = time.monotonic() + 20
    while (group / "cgroup.procs").read_text() and time.monotonic() < end:
        time.sleep(0.1)
    group.rmdir()
    assert (
        subprocess.run([*skep, "run", "hello", "--duration", "1ms"], capture_output=True, check=False).returncode == 0
    )
    assert [name for name in os.listdir(INSTANCES) if name.startswith("skep-")] == []
