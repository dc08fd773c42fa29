"""The tools that see requests to disks: a file becomes a disk of the test's own, and is written to and read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from skep.kernel.places import find_disk
from tests.disks import has_disks, made_disk

KIB = 1024
# Not by way of the page cache: each call is one request, or the disk splits it. The last write waits for a flush.
IO = """
import mmap, os, sys
disk = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
page = mmap.mmap(-1, 65536)
os.pwrite(disk, page, 0)
os.pwrite(disk, memoryview(page)[:4096], 131072)
os.fsync(disk)
os.preadv(disk, [page], 0)
"""


@pytest.fixture(scope="module")
def disks(tmp_path_factory):
    """Two block devices of the test's own."""
    if not has_disks():
        pytest.skip("this kernel has no loop devices")
    folder = tmp_path_factory.mktemp("disks")
    with made_disk(folder / "one") as one, made_disk(folder / "two") as two:
        yield [one, two]


def io(disk):
    return ["--", sys.executable, "-c", IO, disk]


@pytest.mark.floors("6.1")
def test_biosnoop_shows_each_request(run, disks):
    disk = os.path.basename(disks[0])

    events = run("biosnoop", "--disk", disk, *io(disks[0]))

    moved = [event for event in events if event["bytes"]]
    assert [(event["flags"][0], event["sector"], event["bytes"]) for event in moved] == [
        ("W", 0, 64 * KIB),
        ("W", 256, 4 * KIB),
        ("R", 0, 64 * KIB),
    ]
    assert {event["comm"] for event in moved} == {os.path.basename(sys.executable)}
    assert {(event["disk"], event["disk_name"], event["ret"]) for event in events} == {(find_disk(disk), disk, 0)}
    assert all(event["latency_ns"] > 0 for event in events)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--min-ns", "1h"], id="shorter"),
        pytest.param(["--failed-only"], id="what succeeds"),
    ],
)
def test_biosnoop_is_silent_about(run, disks, options):
    assert run("biosnoop", "--disk", disks[0], *options, *io(disks[0])) == []


def test_biosnoop_is_silent_about_requests_of_others(run, disks, tmp_path):
    os.mkfifo(tmp_path / "turn")
    # It begins once biosnoop has attached, and waits for us.
    waits = ["--", "sh", "-c", f"echo > {tmp_path}/turn; cat {tmp_path}/turn"]

    def work():
        (tmp_path / "turn").read_text()
        subprocess.run([sys.executable, "-c", IO, disks[0]], check=True)
        (tmp_path / "turn").write_text("")

    with ThreadPoolExecutor() as pool:
        worked = pool.submit(work)
        events = run("biosnoop", "--disk", disks[0], *waits)

    worked.result()
    assert events == []


@pytest.mark.parametrize("tool", ["biosnoop", "biolatency", "biosize"])
def test_tools_are_silent_about_other_disks(run, disks, tool):
    assert run(tool, "--disk", disks[1], *io(disks[0])) == []


def test_biolatency_counts_each_kind_of_request(run, disks):
    found = run("biolatency", "--disk", disks[0], "--per-flag", *io(disks[0]))

    counts = {kind: sum(sum(each["slots"]) for each in found if each["flags"][0] == kind) for kind in "WR"}
    assert counts == {"W": 3, "R": 1}  # a flush is a write of nothing
    (whole,) = run("biolatency", "--disk", disks[0], *io(disks[0]))
    assert whole["flags"] == ""
    assert sum(whole["slots"]) >= 3


def test_biosize_counts_sizes(run, disks):
    (sizes,) = run("biosize", "--disk", disks[0], *io(disks[0]))

    # 4 KiB and twice 64 KiB.
    assert {slot: count for slot, count in enumerate(sizes["slots"]) if count} == {2: 1, 6: 2}
    kinds = run("biosize", "--disk", disks[0], "--per-flag", *io(disks[0]))
    assert {(each["flags"][0], sum(each["slots"])) for each in kinds} == {("W", 2), ("R", 1)}


def test_each_interval_begins_at_zero(run, disks):
    twice = f"{IO}\nimport time\ntime.sleep(0.8)\n{IO}"

    found = run("biosize", "--disk", disks[0], "--interval", "200ms", "--", sys.executable, "-c", twice, disks[0])

    assert len(found) >= 2
    assert sum(sum(each["slots"]) for each in found) == 6


@pytest.mark.parametrize(("tool", "table"), [("biolatency", "latencies"), ("biosize", "sizes")])
def test_kinds_for_which_there_is_no_room_are_counted(disks, tool, table, skep):
    command = [*skep, "run", tool, "--disk", disks[0], "--per-flag", "--map", f"{table}.max_entries=1", *io(disks[0])]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert re.search(r"^skep: 0 events, [1-9]\d* lost$", finished.stderr, re.MULTILINE)
