"""What all tests share: floors, built kernel files, and the proof that nothing stays behind.

A floor is a kernel that the tests run on: `host`, or `6.12` and `6.1` under QEMU. A test in tests/kernel runs on the
host, and on the kernels that its mark `floors` names; one in tests/vm runs on those only. With SKEP_ALL=1 every test
runs on every floor. What ran, was skipped and failed is written to $SKEP_RESULTS/FLOOR.json; tests/floors.py then fails
if a test was skipped wherever it could have run. How long that took is added up in $SKEP_RESULTS/FLOOR.seconds. The
kinds of hooks that were attached to by what passed are written to $SKEP_RESULTS/FLOOR.hooks, for tests/hooks.py; the
tools that it ran, to $SKEP_RESULTS/FLOOR.tools, for tests/tools.py.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from skep.session import api
from skep.spec.compiling import source_digest
from skep.spec.document import embedded_digest

FLOOR = os.environ.get("SKEP_VM_KERNEL", "host")
PROGRAMS = Path(__file__).parent / "programs"
ALL = os.environ.get("SKEP_ALL") == "1"

# Tests assert no times. The same examples are drawn each time, so that what passes here passes there; with SKEP_ALL=1
# they are others each time.
settings.register_profile("skep", deadline=None, derandomize=not ALL, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("skep")

_started = time.monotonic()
_outcomes: dict[str, tuple[str, str]] = {}
_noted: dict[str, set[str]] = {"hook": set(), "tool": set()}


def pytest_configure(config):
    config.addinivalue_line("markers", "floors(*names): run on these kernels too, beside the host")
    config.addinivalue_line("markers", "compiles: guests, which have no compiler, run what this compiles here")
    # A shell has its background ignore Ctrl-C, and so would all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
    def wanted(item):
        if item.path.parent.name == "unit":
            return FLOOR == "host"
        if item.path.parent.name == "vm":
            return FLOOR != "host"
        mark = item.get_closest_marker("floors")
        return ALL or FLOOR == "host" or (mark is not None and FLOOR in mark.args)

    config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
    items[:] = [item for item in items if wanted(item)]


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
        _outcomes[report.nodeid] = (report.outcome, reason)
    if report.when == "call" and report.outcome == "passed":
        for name, value in report.user_properties:
            _noted.get(name, set()).add(value)


def pytest_sessionfinish():
    folder = os.environ.get("SKEP_RESULTS")
    if folder:
        # Two runs on one floor end when they like.
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcomes, seconds = (Path(folder) / f"{FLOOR}.{what}" for what in ("json", "seconds"))
        known = json.loads(outcomes.read_text()) if outcomes.exists() else {}
        outcomes.write_text(json.dumps(known | _outcomes, indent=1))
        before = float(seconds.read_text()) if seconds.exists() else 0
        seconds.write_text(f"{before + time.monotonic() - _started:.1f}\n")
        for name, values in _noted.items():
            path = Path(folder) / f"{FLOOR}.{name}s"
            before_us = set(path.read_text().split()) if path.exists() else set()
            path.write_text("".join(f"{value}\n" for value in sorted(before_us | values)))
        os.close(lock)


@pytest.fixture(scope="session")
def skep():
    """The command, as a list to put before its arguments."""
    return [sys.executable, "-m", "skep"]


def read_built(source: Path, compilers: Path | None = None) -> api.Spec:
    """The spec of a kernel file, from the object that was built on the host.

    Args:
        source: the kernel file.
        compilers: a folder with another clang than that of PATH.
    """
    built = source.with_suffix(".o")
    environment = dict(os.environ)
    if compilers is not None:
        built = source.parent / compilers.parent.name / built.name
        environment["PATH"] = f"{compilers}:{environment['PATH']}"
    if not built.exists() or embedded_digest(built.read_bytes()) != source_digest(str(source)):
        built.parent.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "skep", "build", str(source), "-o", str(built)]
        subprocess.run(command, env=environment, check=True)
    return api.open(str(built))


@pytest.fixture
def program():
    """program(name): the spec of tests/programs/NAME.bpf.c, from the object that was built on the host."""
    return lambda name: read_built(PROGRAMS / f"{name}.bpf.c")
