"""bpf_printk() through a private trace instance: nothing is taken from others, and others' lines are told apart."""

from __future__ import annotations

import os
import subprocess

import pytest

from skep.kernel.features import tracefs
from skep.session.run import Run

pytestmark = pytest.mark.floors("6.1")


def test_lines_come_while_another_reads_the_global_pipe(skep):
    with open(f"{tracefs()}/trace_pipe", "rb"):
        finished = subprocess.run(
            [*skep, "run", "hello", "--", "sh", "-c", "echo hello"], capture_output=True, text=True, check=False
        )

    assert finished.returncode == 0
    assert "write by process" in finished.stdout


def test_lines_of_other_programs_are_not_ours(skep, program):
    from skep.session.api import compile as compile_spec

    hello = compile_spec("hello")
    hello.variables["pid_filter"].value = os.getpid()
    # Two programs that print: the reader of one is not shown what the other says.
    with Run(hello) as run, Run(compile_spec("hello")) as other:
        os.write(os.open(os.devnull, os.O_WRONLY), b"x")
        ours = [row.message for batch in run.batches(duration=0.3) for row in batch.rows()]

        assert other.attached == ["hello"]
    assert f"write by process {os.getpid()}" in ours
