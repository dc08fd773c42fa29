"""Iterators, whose rows are read, and programs that run once: of what the tests themselves have made."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from skep._native import ffi, lib
from skep.base.errors import AttachError, SkepError, UsageError
from skep.kernel.alternatives import Plan
from skep.session.run import Run
from skep.spec.targets import Targets

PROGRAMS = Path(__file__).parent.parent / "programs"
ASKS = "import os\nfor _ in range(5): os.getppid()"


def _rows(batches):
    return [row for batch in batches for row in batch.rows()]


def _pin(fd: int, path: str) -> None:
    """BPF_OBJ_PIN of bpf(2)."""
    name = ffi.new("char[]", path.encode())
    attributes = ffi.new("uint64_t[]", [int(ffi.cast("uint64_t", name)), fd])
    assert lib.syscall(lib.SYS_bpf, ffi.cast("int", 6), attributes, ffi.cast("int", 16)) == 0


@pytest.mark.floors("6.12", "6.1")
def test_tasks_are_read_as_rows_and_as_lines(program):
    with program("tasks").load(targets=Targets(root=os.getpid())) as loaded, loaded.attach():
        batches = list(loaded.batches())

    rows = [row for batch in batches if batch.source == "rows" for row in batch.rows()]
    lines = [row.line for batch in batches if batch.source == "lines" for row in batch.rows()]
    tids = sorted(map(int, os.listdir("/proc/self/task")))
    assert sorted((row.pid, row.tid) for row in rows) == [(os.getpid(), tid) for tid in tids]
    assert Path("/proc/self/comm").read_text().strip() in {row.comm for row in rows}
    assert sorted(lines[:-1]) == sorted(f"task\t{tid} of {os.getpid()}" for tid in tids)
    assert lines[-1] == "the end"


def test_each_reading_is_a_walk_of_its_own(program):
    with program("tasks").load(targets=Targets(root=os.getpid()), without=["lines"]) as loaded, loaded.attach():
        first, second = list(loaded.events()), list(loaded.events())

    assert first == second != []


def test_all_tasks_are_walked_over_in_many_reads(program):
    with program("tasks").load(without=["lines"]) as loaded, loaded.attach():
        pids = {row.pid for row in loaded.events()}

    assert {os.getpid(), os.getppid()} <= pids


@pytest.mark.parametrize("output", ["table", "json"])
def test_the_command_line_reads_them_once_and_ends(skep, output):
    source = str(PROGRAMS / "tasks.bpf.c")
    process = subprocess.Popen(["sleep", "60"])
    try:
        command = [*skep, "run", source, "-p", str(process.pid), "-o", output]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    finally:
        process.kill()
        process.wait()

    if output == "table":
        header, row, *lines = done.stdout.splitlines()
        assert header.split() == ["EVENT", "PID", "TID", "COMM"]
        assert row.split() == ["row", str(process.pid), str(process.pid), "sleep"]
        assert lines == [f"task\t{process.pid} of {process.pid}", "the end"]
    else:
        objects = list(map(json.loads, done.stdout.splitlines()))
        assert objects[0] == {"_event": "row", "pid": process.pid, "tid": process.pid, "comm": "sleep"}
        assert [each["line"] for each in objects[1:]] == [f"task\t{process.pid} of {process.pid}", "the end"]
    assert "not over its children" in done.stderr


@pytest.mark.floors("6.12", "6.1")
def test_a_map_is_walked_over_at_the_end(program):
    spec = program("counted")
    with Run(spec, command=[sys.executable, "-c", ASKS], stdout=2) as run:
        batches = list(run.batches(duration=60))
        summary = run.summary()

    by_schema = {batch.schema.name: list(batch.rows()) for batch in batches}
    assert [row.calls for row in by_schema["count"]] == [5]
    assert [row.kind for row in by_schema["total"]] == [2]
    assert summary.events["show"] == 2


def test_an_interval_repeats_the_walk(program):
    command = [sys.executable, "-c", f"import time\n{ASKS}\ntime.sleep(1)\nos.getppid()"]
    with Run(program("counted"), command=command, stdout=2, interval=0.3) as run:
        calls = [
            row.calls for batch in run.batches(duration=60) if batch.schema.name == "count" for row in batch.rows()
        ]

    assert len(calls) >= 3
    assert calls[0] == 5
    assert calls[-1] == 6


def test_iterators_alone_are_repeated_until_time_is_up(program):
    with Run(program("tasks"), pids=[os.getpid()], without=["rows"], interval=0.1) as run:
        lines = [row.line for row in _rows(run.batches(duration=0.5))]

    assert lines.count("the end") >= 2


@pytest.mark.parametrize("way", ["number", "pin"])
def test_a_map_of_another_file_is_walked_over(program, way, bpffs):
    first, second = program("counted"), program("counted")
    pin = f"{bpffs}/counted"
    with first.load(fill={"calls": {7: 70, 8: 80}}, without=["show"]) as filled:
        with open(f"/proc/self/fdinfo/{filled.maps['calls'].fd}") as file:
            number = next(line.split()[1] for line in file if line.startswith("map_id:"))
        _pin(filled.maps["calls"].fd, pin)
        targets = Targets(attach={"show": number if way == "number" else pin})
        with second.load(targets=targets, without=["count"]) as loaded, loaded.attach():
            rows = list(loaded.events())

    assert sorted((row.pid, row.calls) for row in rows[:-1]) == [(7, 70), (8, 80)]
    assert rows[-1].processes == 2


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("nope", UsageError, "there is no map nope"),
        ("4294967295", AttachError, "map 4294967295 cannot be opened: No such file"),
        ("4294967296", AttachError, "map 4294967296 cannot be opened: No such file"),
        pytest.param("9" * 5000, AttachError, "cannot be opened: File name too long", id="too many digits"),
        ("/sys/fs/bpf/nothing-here", AttachError, "cannot be opened: No such file"),
    ],
)
def test_a_map_that_is_not_there_is_an_error(program, target, error, message):
    with pytest.raises(error, match=message), Run(program("counted"), targets=Targets(attach={"show": target})):
        pass


@pytest.mark.floors("6.12", "6.1")
def test_other_things_are_walked_over(program, tmp_path):
    spec = program("walks")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        port = server.getsockname()[1]
        datagrams.bind(("127.0.0.1", port))
        spec.variables["local"].value = port
        spec.variables["owner"].value = os.getpid()
        with spec.load(targets=Targets(root=os.getpid()), without=["cgroups"]) as loaded, loaded.attach():
            batches = list(loaded.batches())
        descriptors = {f"{os.getpid()} has {fd}" for fd in (server.fileno(), datagrams.fileno())}

    lines = {batch.source: [row.line for row in batch.rows()] for batch in batches}
    assert descriptors <= set(lines.pop("files"))
    assert lines["sockets"] == lines["datagrams"] == [f"port {port}"]
    assert lines["maps"][0].startswith("map ")
    assert lines["programs"][0].startswith("program ")
    assert lines["symbols"] == ["a symbol"]


@pytest.mark.floors("6.12", "6.1")
def test_cgroups_are_walked_over_from_the_one_given(program):
    with open("/proc/self/mounts") as file:
        root = next(line.split()[1] for line in file if line.split()[2] == "cgroup2")
    folder = Path(root) / "skep-test-walk"
    (folder / "inner").mkdir(parents=True)
    others = ["files", "sockets", "datagrams", "maps", "programs", "symbols"]
    try:
        number = (folder / "inner").stat().st_ino
        found = {}
        for wanted in (folder / "inner", folder):
            spec = program("walks")
            spec.variables["group"].value = wanted.stat().st_ino
            targets = Targets(cgroup=str(folder / "inner"))
            with spec.load(targets=targets, without=others) as loaded, loaded.attach():
                found[wanted.name] = [row.line for row in loaded.events()]
    finally:
        (folder / "inner").rmdir()
        folder.rmdir()

    # Above what it starts at, nothing is seen.
    assert found == {"inner": [f"cgroup {number}"], folder.name: []}


@pytest.mark.floors("6.12", "6.1")
def test_a_program_of_section_syscall_runs_once(program):
    with Run(program("once")) as run:
        rows = _rows(run.batches())

        assert run.notices == ["ask: returned -2 (No such file or directory)"]

    assert [(row.sum, row.runs) for row in rows] == [(0, 1)]


def test_what_is_told_before_is_what_happens(program):
    spec = program("walks")
    with spec.load() as loaded, loaded.attach() as links:
        attached = set(links)

    assert {name for name, (would, _) in Plan(spec).outlook().items() if would} == attached == set(spec.programs)


def test_an_iterator_that_this_kernel_lacks_is_told(program):
    spec = program("no_iterator")

    assert Plan(spec).outlook()["nothing"] == (False, "this kernel has no no_such_thing for iter")
    with pytest.raises(SkepError, match="no_such_thing"), spec.load():
        pass


def test_a_program_that_never_goes_on_is_told(program):
    with (
        program("stuck").load() as loaded,
        loaded.attach(),
        pytest.raises(SkepError, match="iterator again never goes on"),
    ):
        list(loaded.events())
