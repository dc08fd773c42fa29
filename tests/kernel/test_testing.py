"""The fixtures of `skep.testing`, as those who test kernel files use them."""

from __future__ import annotations

import os

import pytest

import skep

BURST = "../programs/burst.bpf.o"


def test_a_command_is_run_under_a_kernel_file(run_command, assert_event):
    run = run_command("../programs/tracepoint.bpf.o", ["sh", "-c", "echo said; rm -f /nowhere/at-all; exit 3"])

    assert (run.returncode, run.output) == (3, "said\n")
    event = assert_event(run.events, comm="rm", pid=lambda pid: pid > 1)
    assert event.comm == "rm"
    assert run.summary.lost in {None, 0}


def test_a_command_that_takes_too_long_fails(run_command):
    with pytest.raises(pytest.fail.Exception, match=r"sleep ran for more than 0\.2 seconds"):
        run_command("../programs/tracepoint.bpf.o", ["sleep", "60"], timeout=0.2)


def test_what_is_loaded_is_closed_by_the_next_test(load):
    loaded = load(BURST, variables={"pid_filter": os.getpid(), "count": 3})
    with loaded.attach():
        os.getppid()
        assert [event.number for event in loaded.events(timeout=0.1)] == [0, 1, 2]


def test_a_program_is_run_by_itself(test_run):
    assert test_run("../programs/rewrite.bpf.o", "difference", ctx=[9, 4]).returned == 5


def test_what_is_wrong_is_told_with_what_to_do(load):
    with pytest.raises(skep.UsageError, match="there is no variable counts") as raised:
        load(BURST, variables={"counts": 3})

    assert raised.value.__notes__ == ["Did you mean count?"]


def test_the_plugin_is_found_where_skep_is_installed(pytestconfig):
    assert pytestconfig.pluginmanager.get_plugin("skep").__name__ == "skep.testing"
