"""What our headers add to libbpf's works on a kernel, not only in a compiler."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from skep.kernel.btf import header_folder, identity


@pytest.mark.floors("6.12")
def test_loops_casts_and_bit_fields_do_what_they_say(program):
    spec = program("newer")
    spec.variables["pid_filter"].value = os.getpid()
    with spec.load() as loaded, loaded.attach():
        os.getppid()
        event = next(iter(loaded.events(timeout=5)))

    assert event.sum == sum(inner for outer in range(10) for inner in range(outer, 10)) + 6000
    assert event.repeated == 7
    assert event.pid == os.getpid()
    # doff 9 and syn; the window, which lies in the word after it, is untouched.
    assert bytes(event.tcp)[12:16] == b"\x90\x02\xff\xff"


@pytest.mark.floors("6.12", "6.1")
def test_vmlinux_h_declares_what_programs_may_call_where_btf_tells(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lines = Path(header_folder(identity()), "vmlinux.h").read_text().splitlines()
    declared = [line for line in lines if line.endswith(" __weak __ksym;")]

    tagged = b"\0bpf_kfunc\0" in Path("/sys/kernel/btf/vmlinux").read_bytes()
    assert bool(declared) == tagged
    assert not tagged or "extern void bpf_rcu_read_lock(void) __weak __ksym;" in declared


def test_headers_of_kernels_that_were_not_used_for_long_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "skep" / "headers"
    for index in range(12):
        os.makedirs(folder / f"kernel{index}", mode=0o700)
        os.utime(folder / f"kernel{index}", (index, index))
    (tmp_path / "skep").chmod(0o700)

    header_folder(identity())

    assert {path.name for path in folder.iterdir()} == {identity(), *(f"kernel{index}" for index in range(5, 12))}
