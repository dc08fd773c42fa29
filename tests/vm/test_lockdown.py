"""A kernel that is locked down. Of these files the last: there is no way back, and no kprobe from then on.

Runs inside: tests/vm/run .venv/bin/python -m pytest tests/vm/test_lockdown.py
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from skep.base.errors import PrivilegeError, UnsupportedError, VerifierError
from skep.session.run import Run

pytestmark = pytest.mark.skipif("SKEP_VM_KERNEL" not in os.environ, reason="not inside a guest of skep.vm")

LEVEL = Path("/sys/kernel/security/lockdown")
SAID = "this kernel is locked down (confidentiality)"


@pytest.fixture(scope="module", autouse=True)
def _locked() -> None:
    LEVEL.write_text("confidentiality")


@pytest.mark.parametrize("name", ["kprobe", "printing"])
def test_what_lockdown_forbids_is_told(program, name):
    with pytest.raises(PrivilegeError) as caught, Run(program(name)):
        pass

    assert SAID in caught.value.message
    assert caught.value.remedy == "Boot it with lockdown=integrity."


def test_a_helper_that_lockdown_takes_away_is_told(program):
    with pytest.raises(VerifierError) as caught, Run(program("tasks")):
        pass

    assert SAID in caught.value.message
    assert caught.value.exit_code == UnsupportedError.exit_code


@pytest.mark.parametrize("name", ["tp_btf", "tracepoint"])
def test_what_reads_no_memory_of_the_kernel_runs(program, name):
    with Run(program(name)) as run:
        assert run.attached
