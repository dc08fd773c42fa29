"""No room, no home, few descriptors, a cache of somebody else, much asked for: it works, or says why and what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
SEC("tp/syscalls/sys_enter_getppid") int hook(void *ctx) { return 0; }
char LICENSE[] SEC("license") = "GPL";
"""
# A ring and a type each, and as many types again on one ring, told apart by their sizes.
TYPES = 100


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A kernel file that nobody has compiled yet."""
    path = tmp_path / "new.bpf.c"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def run(skep, tmp_path):
    """run(script, source): `skep run SOURCE -- true` behind some shell, with mounts and a cache of its own."""

    def run(script: str, source: object, *, unset: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), **variables}
        environment.pop(unset, None)
        return subprocess.run(
            ["unshare", "--mount", "sh", "-euc", script, "sh", *skep, "run", str(source), "--", "true"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=environment,
            cwd=tmp_path,
        )

    return run


def _failed(finished: subprocess.CompletedProcess[str], message: str, remedy: str) -> None:
    assert finished.returncode == 1, finished.stderr
    assert message in finished.stderr
    assert remedy in finished.stderr
    assert "Traceback" not in finished.stderr


def _on_tmpfs(size: str) -> str:
    """The cache on a file system of its own, what is left in it afterwards on standard output."""
    return (
        f'mkdir -p cache; mount -t tmpfs -o size={size} tmpfs cache; code=0; "$@" || code=$?; '
        "find cache/skep/scratch -mindepth 1; exit $code"
    )


@pytest.mark.parametrize("size", ["4k", "8k"])
def test_a_full_disk_is_named_and_nothing_half_made_stays(size, source, run):
    finished = run(_on_tmpfs(size), source)

    _failed(finished, "cannot be written: No space left on device", "XDG_CACHE_HOME")
    assert finished.stdout == ""


def test_little_room_is_enough(source, run):
    finished = run(_on_tmpfs("1m"), source)

    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == ""


def test_an_object_that_finds_no_room_is_named(skep, source):
    finished = subprocess.run(
        [*skep, "build", str(source), "-o", "/dev/full"], capture_output=True, text=True, check=False, timeout=120
    )

    assert finished.returncode == 1
    assert finished.stderr == "skep: /dev/full cannot be written: No space left on device\n"


def test_a_read_only_tmp_is_no_hindrance(source, run, tmp_path):
    script = (
        f"mount --bind {tmp_path} /mnt; mount --bind /tmp /tmp; mount -o remount,bind,ro /tmp; cd /mnt; exec " + '"$@"'
    )
    finished = run(script, "new.bpf.c", XDG_CACHE_HOME="/mnt/cache")

    assert finished.returncode == 0, finished.stderr


@pytest.mark.skipif("SKEP_VM_KERNEL" in os.environ, reason="in a guest, where all that is not the test's is read-only")
@pytest.mark.parametrize("home", [None, "/nowhere/at/all"])
def test_without_a_home_the_one_of_the_user_is_used(home, source, run):
    variables = {"XDG_CACHE_HOME": "", **({"HOME": home} if home else {})}
    finished = run('exec "$@"', source, unset="" if home else "HOME", **variables)

    assert finished.returncode == 0, finished.stderr
    assert not os.path.exists("/nowhere")


def test_a_cache_of_another_user_is_refused(source, run):
    finished = run('install -d -o 65534 -m 700 cache/skep; exec "$@"', source)

    _failed(finished, "belongs to another user", "chown 0 ")


def test_a_cache_that_everybody_may_write_to_is_refused(source, run):
    finished = run('install -d -m 777 cache/skep; exec "$@"', source)

    _failed(finished, "others may write to it", "chmod 700 ")


def test_a_few_descriptors_are_enough(source, run):
    for what in ("opensnoop", "hello", source):
        finished = run('ulimit -n 64; exec "$@"', what)

        assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("limit", range(6, 26, 2))
def test_too_few_descriptors_are_named(limit, run):
    """With fewer than six Python itself does not start."""
    finished = run(f'ulimit -n {limit}; exec "$@"', "hello")

    # How few are enough is a matter of this Python.
    if finished.returncode:
        _failed(finished, "Too many open files", "ulimit -n 1024")


@pytest.fixture
def types(tmp_path: Path) -> Path:
    """A kernel file with two hundred types of records, each of which it sends."""
    lines = ['#include "vmlinux.h"', "#include <bpf/bpf_helpers.h>", '#include "skep.h"']
    ring = 'struct {{ __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, {}); }} {} SEC(".maps");'
    lines.append(ring.format(1 << 20, "shared"))
    send = "{{ struct {0} *event = bpf_ringbuf_reserve(&{1}, sizeof(*event), 0);"
    send += " if (event) {{ event->{0} = {2}; bpf_ringbuf_submit(event, 0); }} }}"
    sends = []
    for number in range(TYPES):
        lines.append(f"struct alone_{number} {{ u64 alone_{number}; }};")
        lines.append(f"struct sized_{number} {{ u64 sized_{number}; u8 room[{8 * number + 8}]; }};")
        lines.append(ring.format(4096, f"ring_{number}"))
        sends.append(send.format(f"alone_{number}", f"ring_{number}", number))
        sends.append(send.format(f"sized_{number}", "shared", number))
    # A program uses 64 maps at most.
    for number, part in enumerate((sends[:TYPES], sends[TYPES:])):
        lines += [f'SEC("tp/syscalls/sys_enter_getppid") int hook_{number}(void *ctx) {{']
        lines += ["if (!skep_in_scope()) return 0;", *part, "return 0; }"]
    lines.append('char LICENSE[] SEC("license") = "GPL";')
    path = tmp_path / "types.bpf.c"
    path.write_text("\n".join(lines))
    return path


def test_two_hundred_types_of_records(skep, types):
    told = subprocess.run([*skep, "info", str(types)], capture_output=True, text=True, check=True, timeout=120).stdout
    command = [sys.executable, "-c", "import os; os.getppid()"]
    ran = subprocess.run(
        [*skep, "run", str(types), "-o", "json", "--", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert ran.returncode == 0, ran.stderr
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    for number in range(TYPES):
        for name in (f"alone_{number}", f"sized_{number}"):
            assert f": {name}, " in told
            assert any(record["_event"] == name and record[name] == number for record in records), name
