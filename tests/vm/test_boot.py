"""What a guest of skep.vm must offer. Runs inside: tests/vm/run .venv/bin/python -m pytest tests/vm/test_boot.py."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif("SKEP_VM_KERNEL" not in os.environ, reason="not inside a guest of skep.vm")

MOUNTS = {
    "/": "virtiofs",
    "/boot": "virtiofs",
    "/dev": "devtmpfs",
    "/dev/shm": "tmpfs",
    "/proc": "proc",
    "/run": "tmpfs",
    "/run/results": "virtiofs",
    "/sys": "sysfs",
    "/sys/fs/bpf": "bpf",
    "/sys/fs/cgroup": "cgroup2",
    "/sys/kernel/debug": "debugfs",
    "/sys/kernel/security": "securityfs",
    "/sys/kernel/tracing": "tracefs",
    "/tmp": "tmpfs",
}


def test_the_kernel_is_the_one_asked_for() -> None:
    assert os.uname().release.startswith(os.environ["SKEP_VM_KERNEL"] + ".")


@pytest.mark.parametrize(("place", "kind"), MOUNTS.items())
def test_mounted(place: str, kind: str) -> None:
    mounted = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, what, *_ = line.split()
        mounted[where] = what

    assert mounted.get(place) == kind


def test_the_root_is_read_only() -> None:
    with pytest.raises(OSError, match="Read-only file system"):
        Path("/skep-was-here").touch()


@pytest.mark.parametrize("folder", ["/tmp", "/run", "/dev/shm", os.environ.get("SKEP_RESULTS", "/run/results")])
def test_writable(folder: str) -> None:
    file = Path(folder, "skep-was-here")
    file.write_text("content")

    assert file.read_text() == "content"
    file.unlink()


def test_the_kernel_s_configuration_is_in_boot() -> None:
    assert "CONFIG_BPF=y" in Path(f"/boot/config-{os.uname().release}").read_text().splitlines()


def test_the_kernel_describes_its_types() -> None:
    assert Path("/sys/kernel/btf/vmlinux").read_bytes()[:2] == b"\x9f\xeb"


def test_the_kernel_accepts_programs_of_kind_lsm() -> None:
    assert "bpf" in Path("/sys/kernel/security/lsm").read_text().split(",")


def test_there_are_two_processors() -> None:
    assert os.cpu_count() == 2


def test_a_cgroup_can_be_made_with_controllers() -> None:
    assert "memory" in Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
    group = Path("/sys/fs/cgroup/skep-was-here")
    group.mkdir()
    group.rmdir()


def test_the_loopback_interface_is_up() -> None:
    assert int(Path("/sys/class/net/lo/flags").read_text(), 16) & 1


def test_the_kernel_finds_its_modules() -> None:
    subprocess.run(["ip", "link", "add", "skep0", "type", "veth", "peer", "name", "skep1"], check=True)
    subprocess.run(["ip", "link", "del", "skep0"], check=True)


def test_standard_streams_can_be_opened_by_name() -> None:
    done = subprocess.run(["sh", "-c", "echo one > /dev/stderr"], capture_output=True, text=True, check=True)

    assert done.stderr == "one\n"
