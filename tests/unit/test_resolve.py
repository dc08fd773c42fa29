"""What is known of this machine: its names, and its clocks, which are followed."""

import os
import time
from pathlib import Path

import pytest

from skep.stream.resolve import follow_clock, resolve

SECOND = 10**9


def test_offsets_lead_to_the_wall_clock():
    names = resolve()

    for clock, offset in (
        (time.CLOCK_MONOTONIC, names.monotonic),
        (time.CLOCK_BOOTTIME, names.boot),
        (time.CLOCK_TAI, names.tai),
    ):
        assert abs(time.clock_gettime_ns(clock) + offset - time.time_ns()) < SECOND
    assert names.users[0] == "root"


def test_a_step_of_the_clock_is_followed(monkeypatch):
    names = resolve()
    before = names.monotonic
    real = time.clock_gettime_ns

    def stepped(clock: int) -> int:
        return real(clock) + 3600 * SECOND * (clock == time.CLOCK_REALTIME)

    monkeypatch.setattr("time.clock_gettime_ns", stepped)
    follow_clock(names)

    assert abs(names.monotonic - before - 3600 * SECOND) < SECOND


def test_without_a_step_offsets_never_change(monkeypatch):
    """Else records that are shown in two batches would change their order."""
    names = resolve()
    before = names.monotonic
    real = time.clock_gettime_ns
    monkeypatch.setattr("time.clock_gettime_ns", lambda clock: real(clock) + 900 * (clock == time.CLOCK_REALTIME))
    follow_clock(names)

    assert names.monotonic == before


def test_a_pause_between_two_readings_is_no_step(monkeypatch):
    names = resolve()
    before = names.monotonic
    real, late = time.clock_gettime_ns, [50_000_000]

    def stopped(clock: int) -> int:
        return real(clock) + (late.pop() if clock == time.CLOCK_MONOTONIC and late else 0)

    monkeypatch.setattr("time.clock_gettime_ns", stopped)
    follow_clock(names)

    assert not late
    assert abs(names.monotonic - before) < 50_000_000


def test_the_local_time_zone_is_followed(monkeypatch):
    names = resolve()
    monkeypatch.setenv("TZ", "XXX-3:30")
    time.tzset()
    try:
        follow_clock(names)
    finally:
        monkeypatch.undo()
        time.tzset()

    assert names.utc_offset == 12600


def test_block_devices_have_names():
    known = {Path(f"/sys/dev/block/{number >> 20}:{number & 0xFFFFF}").resolve().name for number in resolve().devices}

    assert set(resolve().devices.values()) == known


def _hierarchy():
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return next((Path(line[1]) for line in lines if line[2] == "cgroup2"), None)


@pytest.mark.skipif(_hierarchy() is None, reason="no cgroups of version 2 are mounted")
def test_cgroups_are_found_when_they_are_asked_for():
    root = _hierarchy()
    assert root is not None
    names = resolve()

    assert len(names.cgroups) == 0
    assert names.cgroups.get(os.stat(root).st_ino) == "/"
    assert names.cgroups.get(1 << 60) is None
    for folder in [each for each in root.iterdir() if each.is_dir()][:3]:
        assert names.cgroups.get(folder.stat().st_ino) == f"/{folder.name}"


def test_namespaces_of_the_host_are_known():
    names = resolve()

    assert names.namespaces.get(0xEFFFFFFC) == "host"
    assert names.namespaces.get(1) is None
    # This process may be in a container: then its own is not the host's.
    own = {names.namespaces.get(os.stat(f"/proc/self/ns/{kind}").st_ino) for kind in ("pid", "uts", "user")}
    assert own <= {"host", None}


def test_network_namespaces_are_called_as_ip_calls_them(monkeypatch, tmp_path):
    (tmp_path / "blue").touch()
    monkeypatch.setattr("skep.stream.resolve.NETWORKS", str(tmp_path))

    assert resolve().namespaces.get((tmp_path / "blue").stat().st_ino) == "blue"
