"""perf_event: samples of the processes that a test starts, by the clock and by what the kernel counts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from skep.base.errors import AttachError, HookMissingError, UsageError
from skep.kernel.alternatives import Plan
from skep.kernel.link.perf_event import open_samples
from skep.session.run import Run
from skep.spec.sections import parse
from skep.spec.targets import Targets

# Two threads and a child, each of which keeps a CPU busy until all three have been seen.
BUSY = """
import os, threading, time
end = time.monotonic() + 1
def spin():
    while time.monotonic() < end:
        pass
thread = threading.Thread(target=spin)
thread.start()
child = os.fork()
spin()
if not child:
    os._exit(0)
os.waitpid(child, 0)
thread.join()
print(os.getpid(), child)
"""


def _sampled(spec, command, **options):
    with Run(spec, command=command, stdout=2, **options) as run:
        return [row for batch in run.batches(duration=60) for row in batch.rows()], run.summary()


@pytest.mark.floors("6.12", "6.1")
def test_a_command_is_sampled_with_its_threads_and_children(program):
    rows, summary = _sampled(program("samples"), [sys.executable, "-c", BUSY])

    processes = Counter(row.pid for row in rows)
    assert len(processes) == 2
    assert len({row.tid for row in rows}) == 3
    assert summary.out_of_scope == 0


@pytest.mark.floors("6.12")
def test_a_process_is_sampled_with_what_it_starts_from_then_on(program):
    waiting = f"input()\n{BUSY}"
    process = subprocess.Popen([sys.executable, "-c", waiting], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        with Run(program("samples"), pids=[process.pid]) as run:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
            rows = [row for batch in run.batches(duration=60) for row in batch.rows()]
        output, _ = process.communicate()
    finally:
        process.kill()
        process.wait()

    assert {row.pid for row in rows} == {int(number) for number in output.split()}
    assert len({row.tid for row in rows}) == 3


def test_samples_are_taken_on_every_cpu(program):
    others = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.DEVNULL)
    try:
        with program("samples").load() as loaded, loaded.attach():
            rows = list(loaded.events(timeout=0.5))
    finally:
        others.wait()

    # What else runs here is of no interest.
    assert others.pid in {row.pid for row in rows}


@pytest.mark.floors("6.1")
def test_a_period_says_how_many_events_come_to_a_sample(program):
    faults = "memory = bytearray(64 * 4096)"
    targets = Targets(attach={"take": "page-faults:1"})
    rows, _ = _sampled(program("samples"), [sys.executable, "-c", faults], targets=targets)

    assert len(rows) >= 64
    assert {row.period for row in rows} == {1}


def test_a_frequency_fills_what_is_named_so(skep):
    source = str(Path(__file__).parent.parent / "programs" / "samples.bpf.c")
    done = subprocess.run(
        [*skep, "run", source, "--freq", "250", "-o", "json", "--", sys.executable, "-c", BUSY],
        capture_output=True,
        text=True,
        check=True,
    )

    assert '"frequency": 250' in done.stdout
    assert "--freq fills sample_freq" in done.stderr


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("cycels", UsageError, r"program take: there is no event cycels"),
        ("page-faults:0", UsageError, r"page-faults:0: behind the colon of an event stands a number"),
        ("page-faults:", UsageError, r"behind the colon"),
        ("kprobe/f", UsageError, r"cannot be attached there"),
    ],
)
def test_what_is_no_event_is_an_error(program, target, error, message):
    with pytest.raises(error, match=message), Run(program("samples"), targets=Targets(attach={"take": target})):
        pass


def test_more_samples_than_the_kernel_takes_are_refused():
    most = int(Path("/proc/sys/kernel/perf_event_max_sample_rate").read_text())
    with pytest.raises(AttachError, match=f"{most + 1} samples a second are more than") as found:
        open_samples(parse("perf_event"), most + 1, os.getpid())

    assert found.value.remedy is not None
    assert str(most) in found.value.remedy


def test_a_process_that_is_not_there_is_an_error(program):
    ended = subprocess.Popen(["true"])
    ended.wait()
    with (
        program("samples").load(targets=Targets(root=ended.pid)) as loaded,
        pytest.raises(AttachError, match=f"there is no process {ended.pid}"),
    ):
        loaded.attach()


@pytest.mark.parametrize("event", ["cpu-clock", "cycles", "page-faults:1", "cycels"])
def test_what_is_told_of_an_event_is_what_happens(program, event):
    spec = program("samples")
    targets = Targets(attach={"take": event}, root=os.getpid())
    would, why = Plan(spec, targets=targets).outlook()["take"]
    with spec.load(targets=targets) as loaded:
        if would:
            with loaded.attach() as links:
                assert list(links) == ["take"]
        else:
            with pytest.raises((HookMissingError, UsageError), match=why):
                loaded.attach()
