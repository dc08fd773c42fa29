"""Links: what the kernel says of them, and what can be done with them, on hooks of the tests' own."""

from __future__ import annotations

import ctypes
import os
import socket

import pytest

import skep
from skep.kernel.pin import describe
from skep.spec.targets import Targets

_CLONE_NEWNET = 0x40000000


def calls(loaded) -> int:
    """How many calls of ours the program of calls.bpf.c has seen."""
    return int(loaded.variables["seen"].value)


@pytest.fixture
def counting(program):
    spec = program("calls")
    spec.variables["pid_filter"].value = os.getpid()
    with spec.load() as loaded:
        yield loaded


@pytest.mark.floors("6.12", "6.1")
def test_a_link_says_what_it_is(counting):
    with counting.attach() as links:
        link = links["hook"]
        info = link.info()

        assert list(links) == ["hook"]
        assert len(links) == 1
        assert (info.kind, info.target, info.program_id) == (
            "perf",
            "tp/syscalls/sys_enter_getppid",
            counting.programs["hook"].id,
        )
        assert repr(link) == "<Link 'hook' tp/syscalls/sys_enter_getppid>"
        with skep.Link.from_id(info.id) as same:
            assert (same.name, same.info().id) == ("hook", info.id)
    assert repr(link) == "<Link 'hook' tp/syscalls/sys_enter_getppid, closed>"
    assert repr(links) == "<Links hook, closed>"
    for use in (link.info, link.detach, lambda: links["hook"], lambda: link.pin("/sys/fs/bpf/never")):
        with pytest.raises(skep.ClosedError, match="is closed"):
            use()


def test_one_link_is_closed_alone_and_all_may_be_closed_twice(counting):
    links = counting.attach()
    os.getppid()
    assert calls(counting) == 1

    links["hook"].close()
    os.getppid()
    assert calls(counting) == 1
    assert list(links) == []
    links.close()
    links.close()


@pytest.mark.floors("6.12", "6.1")
def test_a_pinned_perf_link_goes_on_when_its_object_is_closed(counting, bpffs):
    with counting.attach() as links:
        links.pin(f"{bpffs}/mine")
    os.getppid()
    assert calls(counting) == 1

    with skep.Link.from_pin(f"{bpffs}/mine/links/hook") as link:
        with pytest.raises(skep.AttachError, match="a perf link ends only with its last holder"):
            link.detach()
        skep.unpin(f"{bpffs}/mine")
        os.getppid()
        assert calls(counting) == 2
    os.getppid()
    assert calls(counting) == 2


@pytest.fixture
def loopback():
    """A network namespace of the test's own, with nothing but a loopback in it."""
    library = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    assert not library.unshare(_CLONE_NEWNET)
    yield
    assert not library.setns(here, _CLONE_NEWNET)
    os.close(here)


@pytest.mark.floors("6.12", "6.1")
def test_a_link_takes_another_program(program, cgroup):
    spec = program("gates")
    targets = Targets(cgroup=cgroup)
    with (
        spec.load(targets=targets, without=["second", "other"]) as one,
        spec.load(targets=targets) as others,
        one.attach() as links,
    ):
        link, other = links["first"], others.programs["other"]
        before = link.info().id
        link.update(others.programs["second"])

        assert (link.name, link.info().id) == ("second", before)
        assert link.info().program_id == others.programs["second"].id
        with pytest.raises(skep.AttachError, match="program other cannot take the place of second"):
            link.update(other)
        others.close()
        with pytest.raises(skep.ClosedError, match="program other is closed"):
            link.update(other)
        link.detach()
        link.detach()


def test_a_perf_link_keeps_its_program(counting):
    with counting.attach() as links, pytest.raises(skep.AttachError, match="a perf link keeps its program"):
        links["hook"].update(counting.programs["hook"])


def test_a_fork_neither_detaches_nor_keeps_attached(counting):
    links = counting.attach()
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            ours.close()
            held = [describe(int(fd)) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
            theirs.send(b"any" if any("link_id" in each or "prog_id" in each for each in held) else b"none")
            # Until its parent is done.
            theirs.recv(1)
        finally:
            os._exit(0)
    theirs.close()
    assert ours.recv(4) == b"none"
    os.getppid()
    assert calls(counting) == 1

    links.close()
    os.getppid()
    assert calls(counting) == 1
    ours.close()
    os.waitpid(child, 0)


def test_a_fork_holds_no_socket_that_a_program_is_attached_to(program, loopback):
    spec = program("network")
    others = [name for name in spec.programs if name != "copied"]
    with spec.load(targets=Targets(iface="lo"), without=others) as loaded, loaded.attach() as links:
        [held] = links["copied"]._attachment.fds
        assert os.readlink(f"/proc/self/fd/{held}").startswith("socket:")
        child = os.fork()
        if child == 0:
            os._exit(int(os.path.exists(f"/proc/self/fd/{held}")))

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_has_no_link_cannot_be_pinned(program, bpffs, loopback):
    spec = program("network")
    others = [name for name in spec.programs if name != "copied"]
    with spec.load(targets=Targets(iface="lo"), without=others) as loaded, loaded.attach() as links:
        assert links["copied"].fds == []
        with pytest.raises(skep.PinError, match="it is attached without a link"):
            loaded.pin(f"{bpffs}/mine")
        with pytest.raises(skep.AttachError, match="for which there is no link"):
            links["copied"].info()
    assert not (bpffs / "mine").exists()
