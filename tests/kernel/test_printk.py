"""bpf_printk() through a private trace instance: nothing is taken from others, and others' lines are told apart."""

from __future__ import annotations

import os
import subprocess

import pytest

from skep.kernel.features import tracefs
from skep.session.run import Run

pytestmark = pytest.mark.floors("6.1")


def _messages(run):
    return [row.message for batch in run.batches(duration=0.3) for row in batch.rows()]


def test_lines_come_while_another_reads_the_global_pipe(skep):
    with open(f"{tracefs()}/trace_pipe", "rb"):
        finished = subprocess.run(
            [*skep, "run", "hello", "--", "sh", "-c", "echo hello"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert finished.returncode == 0
    assert "write by process" in finished.stdout


def test_lines_of_other_programs_are_not_ours(program):
    first, second = program("printing"), program("printing_too")
    for spec in (first, second):
        spec.variables["pid_filter"].value = os.getpid()
    with Run(first) as run, Run(second) as other:
        os.getppid()

        assert _messages(run) == [f"first of {os.getpid()}", f"second 1 2 3 {os.getpid()}"]
        assert _messages(other) == [f"another of {os.getpid()}", f"last 1 2 3 {os.getpid()}"]


def test_many_lines_are_all_there_when_the_command_ends(program):
    # Some 60 bytes a line: more than one read of the pipe gives, less than a CPU's buffer of 1.4 MB holds.
    spec = program("printing")
    spec.variables["pid_filter"].value = os.getpid()
    with Run(spec) as run:
        for _ in range(3000):
            os.getppid()
        messages = _messages(run)
        lost = run.summary().lost or 0

    assert len(messages) + lost == 6000
    assert len(messages) > 3000
