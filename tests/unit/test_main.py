"""What the command says of a failure that no room has a word for."""

from __future__ import annotations

import errno
import os

import pytest

import skep.cli.tools
from skep.cli.main import main


@pytest.fixture
def failing(monkeypatch, capfd):
    """failing(error): what a verb that fails with this writes, and its exit code."""

    def failing(error: OSError) -> tuple[str, int]:
        def fail(_: object) -> int:
            raise error

        monkeypatch.setattr(skep.cli.tools, "main", fail)
        kept = os.dup(1)
        try:
            code = main(["tools"])
        finally:
            # Standard output is given up when such a thing happens.
            os.dup2(kept, 1)
            os.close(kept)
        return capfd.readouterr().err, code

    return failing


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EIO, os.strerror(errno.EIO)), "skep: Input/output error\n"),
        (OSError(errno.EIO, os.strerror(errno.EIO), "/a"), "skep: /a: Input/output error\n"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "skep: Too many open files\nulimit -n 1024\n"),
        (OSError(errno.ENFILE, os.strerror(errno.ENFILE)), "skep: Too many open files in system\nulimit -n 1024\n"),
        (OSError("the disk is gone"), "skep: the disk is gone\n"),
    ],
)
def test_a_failure_of_the_machine_is_told_as_it_says_itself(error, said, failing):
    assert failing(error) == (said, 1)
