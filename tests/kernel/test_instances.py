"""Trace instances: those of the living stay, those of the dead go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from skep.kernel.features import tracefs
from skep.kernel.instances import make_instance, remove_instance, remove_leftovers


def test_an_instance_that_another_thread_of_ours_made_stays() -> None:
    folder = make_instance()
    try:
        remove_leftovers()

        assert os.path.isdir(folder)
    finally:
        remove_instance(folder)
    assert not os.path.isdir(folder)


def test_what_a_dead_process_of_our_number_left_goes() -> None:
    folder = f"{tracefs()}/instances/skep-{os.getpid()}-999999999"
    os.mkdir(folder)

    remove_leftovers()

    assert not os.path.isdir(folder)


def test_without_tracefs_nothing_is_removed(tmp_path: Path) -> None:
    bystander = tmp_path / "None" / "instances" / "skep-999999999-0"
    bystander.mkdir(parents=True)
    code = "from skep.kernel.instances import remove_leftovers; remove_leftovers()"
    script = 'mount -t tmpfs tmpfs /sys/kernel; exec "$@"'
    subprocess.run(
        ["unshare", "--mount", "sh", "-euc", script, "sh", sys.executable, "-c", code], check=True, cwd=tmp_path
    )

    assert bystander.is_dir()
