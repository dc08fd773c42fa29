"""What is closed is of no use and can be closed again; what a process has opened is not its forks'."""

from __future__ import annotations

import os

import pytest

import skep


def in_a_fork(use) -> str:
    """What becomes of a use in a forked child: the message of its error, or what it returns."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(sender, repr(use()).encode())
        except skep.SkepError as error:
            os.write(sender, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(sender)
    with open(receiver) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


def test_what_is_closed_is_of_no_use_and_may_be_closed_again(program):
    loaded = program("burst").load()
    ring, run = loaded.maps["events"], loaded.programs["hook"]
    loaded.close()
    loaded.close()

    assert loaded.closed
    # Their numbers may be those of other files by now.
    assert (ring.fd, run.fd) == (-1, -1)
    for use in (
        lambda: loaded.maps,
        lambda: loaded.programs,
        lambda: loaded.variables,
        loaded.attach,
        loaded.enable_statistics,
    ):
        with pytest.raises(skep.ClosedError, match="is closed"):
            use()


def test_a_fork_is_refused_and_leaves_its_parent_what_it_has(program):
    with program("variables").load() as loaded:
        variable, number = loaded.variables["runs"], loaded.programs["run"].fd

        for use in (loaded.attach, lambda: loaded.maps, lambda: variable.value):
            said = in_a_fork(use)
            assert said.startswith("ClosedError: ")
            assert f"belongs to process {os.getpid()}, and this is a fork of it" in said
        # It holds nothing that its parent will have closed.
        assert in_a_fork(lambda: os.path.exists(f"/proc/self/fd/{number}")) == "False"

        with loaded.attach():
            assert variable.value == 5
