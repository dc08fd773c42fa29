"""Programs on cgroups of the tests' own, and what the tasks in them do."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from skep._native import ffi, lib
from skep.base.errors import AttachError, UnsupportedError, UsageError
from skep.session.run import Run
from skep.spec.targets import Targets

# What a task does in the cgroup: something for every hook.
WORK = """
import os, socket, sys
open(sys.argv[1] + "/cgroup.procs", "w").write("0")
open("/proc/sys/kernel/ostype").read()
open("/dev/null").read()
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    with socket.socket(family) as server, socket.socket(family) as client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        server.bind((address, 0))
        server.listen()
        client.connect(server.getsockname())
        client.getpeername()
    with socket.socket(family, socket.SOCK_DGRAM) as receiver, socket.socket(family, socket.SOCK_DGRAM) as sender:
        receiver.bind((address, 0))
        sender.sendto(b"x", receiver.getsockname())
        receiver.recvfrom(1)
with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
    server.bind("\\0" + sys.argv[1])
    server.listen()
    client.connect(server.getsockname())
    client.getpeername()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as a, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as b:
    a.bind("\\0" + sys.argv[1] + "-a")
    b.bind("\\0" + sys.argv[1] + "-b")
    b.sendto(b"x", a.getsockname())
    a.recvfrom(1)
"""
_PROG_ATTACH, _PROG_DETACH = 8, 9
CONNECT4 = 10


def work(folder: Path) -> list[str]:
    return [sys.executable, "-c", WORK, str(folder)]


def ran(program, cgroup, **options) -> tuple[set[str], dict[str, str]]:
    """The programs that were called, and those that were not attached."""
    with Run(program("cgroup"), command=work(cgroup), stdout=2, **options) as run:
        seen = {row.hook for batch in run.batches(duration=60) for row in batch.rows()}
        summary = run.summary()
    assert summary.command is not None
    assert summary.command[1] == 0
    return seen, dict(summary.not_attached)


@pytest.mark.floors("6.12", "6.1")
def test_every_program_of_a_cgroup_sees_its_tasks(program, cgroup):
    seen, missing = ran(program, cgroup, targets=Targets(cgroup=str(cgroup)))

    assert seen == program("cgroup").programs.keys() - missing.keys()
    if os.uname().release.startswith("6.1."):
        assert all(name.endswith("_unix") and why.startswith("this kernel has no ") for name, why in missing.items())
    else:
        assert missing == {}


def test_other_tasks_are_not_seen(program, cgroup):
    spec = program("cgroup")
    with Run(spec, targets=Targets(cgroup=str(cgroup))) as run:
        subprocess.run(work(cgroup.parent), check=True)

        assert list(run.batches(duration=0.2)) == []


def test_a_program_may_be_on_a_cgroup_of_its_own_and_see_what_leaves(program, cgroup):
    without = program("cgroup").programs.keys() - {"packet", "connect4"}
    with Run(
        program("cgroup"),
        without=without,
        targets=Targets(cgroup=str(cgroup), direction="egress", attach={"connect4": str(cgroup.parent)}),
    ) as run:
        code = """
import socket, sys
open(sys.argv[1] + "/cgroup.procs", "w").write("0")
socket.socket(type=socket.SOCK_DGRAM).connect(("127.0.0.1", 9))
"""
        subprocess.run([sys.executable, "-c", code, str(cgroup.parent)], check=True)
        rows = [row.hook for batch in run.batches(duration=0.2) for row in batch.rows()]

        assert rows == ["connect4"]


@pytest.mark.floors("6.12", "6.1")
def test_a_security_hook_of_a_cgroup_sees_its_tasks(program, cgroup):
    targets = Targets(cgroup=str(cgroup))
    try:
        with Run(program("lsm_cgroup"), command=work(cgroup), stdout=2, targets=targets) as run:
            rows = [row for batch in run.batches(duration=60) for row in batch.rows()]
    except UnsupportedError as error:
        pytest.skip(str(error))

    assert len(rows) >= 4
    assert len({row.pid for row in rows}) == 1


@contextmanager
def held(fd: int, folder: Path, flags: int):
    """A program on connect4 of a cgroup without a link: by flags, others may be beside it or not."""
    group = os.open(folder, os.O_RDONLY)
    attributes = ffi.new("uint32_t[]", [group, fd, CONNECT4, flags])
    size = ffi.cast("unsigned int", 16)
    assert not lib.syscall(lib.SYS_bpf, ffi.cast("int", _PROG_ATTACH), attributes, size)
    try:
        yield
    finally:
        attributes[3] = 0
        assert not lib.syscall(lib.SYS_bpf, ffi.cast("int", _PROG_DETACH), attributes, size)
        os.close(group)


@pytest.mark.parametrize("where", ["itself", "above"])
def test_a_cgroup_that_is_held_says_by_whom(program, cgroup, where):
    spec = program("cgroup")
    without = spec.programs.keys() - {"connect4"}
    with (
        spec.load(without=without) as loaded,
        held(loaded.programs["connect4"].fd, cgroup if where == "itself" else cgroup.parent, 0),
        pytest.raises(AttachError, match=rf"held by program \d+ \(connect4\), of \S+ \(pid {os.getpid()}\)"),
        Run(program("cgroup"), without=without, targets=Targets(cgroup=str(cgroup))),
    ):
        pass


def test_programs_stand_beside_each_other(program, cgroup):
    without = program("cgroup").programs.keys() - {"connect4"}
    seen = []
    for _ in range(2):
        with Run(program("cgroup"), without=without, targets=Targets(cgroup=str(cgroup))):
            seen.append(ran(program, cgroup, targets=Targets(cgroup=str(cgroup)))[0])

    assert all("connect4" in each for each in seen)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        pytest.param("/nowhere", "/nowhere is no cgroup", id="nothing"),
        pytest.param("/proc", "/proc is no cgroup", id="a folder"),
        pytest.param("INNER/cgroup.procs", "it is a file", id="a file"),
    ],
)
def test_what_is_no_cgroup_is_told(program, cgroup, path, said):
    path = path.replace("INNER", str(cgroup))
    with pytest.raises(UsageError, match=said) as caught, Run(program("cgroup"), targets=Targets(cgroup=path)):
        pass

    assert "It is a folder below " in str(caught.value.remedy)


def test_a_cgroup_of_version_1_is_told_from_others(program, tmp_path):
    # As one looks: whether this machine has any is its own business.
    (tmp_path / "cgroup.procs").touch()

    with (
        pytest.raises(UsageError, match="it is one of version 1"),
        Run(program("cgroup"), targets=Targets(cgroup=str(tmp_path))),
    ):
        pass


def test_a_cgroup_that_goes_is_told_of(program, cgroup):
    without = program("cgroup").programs.keys() - {"connect4"}
    with Run(program("cgroup"), without=without, targets=Targets(cgroup=str(cgroup))) as run:
        cgroup.rmdir()
        assert run.summary().not_attached["connect4"] == "its cgroup is gone"


def test_without_a_cgroup_the_option_is_named(program):
    with (
        pytest.raises(AttachError, match="needs a cgroup: --cgroup PATH"),
        Run(program("cgroup"), without=program("cgroup").programs.keys() - {"connect4"}),
    ):
        pass


def test_the_capability_that_is_missing_is_named(program, skep, cgroup):
    without = [f"--without={name}" for name in program("cgroup").programs if name != "connect4"]
    drop = "-sys_admin,-net_admin"
    command = ["setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}", *skep, "run", "tests/programs/cgroup.bpf.o"]
    command += ["--cgroup", str(cgroup), *without]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert finished.returncode == 3
    assert "this process lacks CAP_NET_ADMIN" in finished.stderr
