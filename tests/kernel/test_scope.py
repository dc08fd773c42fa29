"""Whose events are shown: the tree of a command or of a running process, and nobody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from skep.session.run import Run

pytestmark = pytest.mark.floors("6.12")

# Processes and threads, three deep, each of which removes a file of its own.
TREE = """
import os, subprocess, sys, threading
def work(depth):
    os.system("rm -f /nowhere")
    if depth:
        threads = [threading.Thread(target=work, args=(depth - 1,)) for _ in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        child = os.fork()
        if not child:
            work(depth - 1)
            os._exit(0)
        os.waitpid(child, 0)
work(2)
"""


@pytest.fixture
def stranger():
    """A process that removes files all the time, and is none of ours."""
    command = "while :; do rm -f /nowhere; sleep 0.02; done"
    process = subprocess.Popen(["sh", "-c", command], start_new_session=True)
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_every_descendant_is_seen_and_no_stranger(program, stranger):
    with Run(program("tracepoint"), command=[sys.executable, "-c", TREE], stdout=2) as run:
        rows = [row for batch in run.batches(duration=120) for row in batch.rows()]

        assert run.summary().out_of_scope == 0

    # 1 + 3 + 9 calls of work(), each one rm.
    assert [row.comm for row in rows] == ["rm"] * 13
    assert len({row.pid for row in rows}) == 13


def test_a_file_that_knows_nothing_of_skep_is_filtered_by_its_process_field(program, stranger):
    with Run(program("strangers"), command=["sh", "-c", "sleep 0.2; rm -f /nowhere"], stdout=2) as run:
        batches = list(run.batches(duration=60))
        summary = run.summary()

        assert run.notices == ["the records of without_process name no process: those of all tasks are shown"]

    assert sum(batch.count for batch in batches if batch.source == "with_process") == 1
    assert summary.events["without_process"] > 1
    assert summary.out_of_scope >= 1
    assert summary.lost is None


def test_a_file_that_never_asks_is_filtered_all_the_same(program, stranger):
    with Run(program("noscope"), command=["sh", "-c", "sleep 0.2; rm -f /nowhere"], stdout=2) as run:
        rows = [row for batch in run.batches(duration=60) for row in batch.rows()]

        assert run.summary().out_of_scope >= 1

    assert len(rows) == 1


def test_a_run_ends_with_the_process_that_it_follows(program):
    target = subprocess.Popen(["sh", "-c", "sleep 0.3; rm -f /nowhere"])
    with Run(program("tracepoint"), pids=[target.pid]) as run:
        rows = [row for batch in run.batches(duration=60) for row in batch.rows()]
        # Ended, and waited for: the reader sees the end before its parent does.
        assert target.wait(timeout=1) == 0

    assert [row.comm for row in rows] == ["rm"]


def test_system_shows_all(program, stranger):
    with Run(program("strangers"), command=["sleep", "60"], system=True, stdout=2) as run:
        seen = 0
        for batch in run.batches(duration=60):
            seen += len(batch) if batch.source == "with_process" else 0
            if seen > 1:
                break
        summary = run.summary()

    assert seen > 1
    assert summary.out_of_scope == 0


def test_a_spec_that_was_run_for_a_command_shows_all_where_it_is_loaded_next(program):
    spec = program("tracepoint")
    with Run(spec, command=["true"], stdout=2) as run:
        assert list(run.batches(duration=60)) == []

    with spec.load() as loaded, loaded.attach():
        subprocess.run(["rm", "-f", "/nowhere"], check=True)

        assert "rm" in [event.comm for event in loaded.events(timeout=0)]


def test_a_running_process_is_followed_with_its_threads_and_later_children(program, stranger):
    script = f"import sys; sys.stdin.readline(); exec({TREE!r})"
    target = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, text=True)
    with Run(program("tracepoint"), pids=[target.pid]) as run:
        assert target.stdin is not None
        target.stdin.write("go\n")
        target.stdin.close()
        target.wait()
        rows = [row for batch in run.batches(duration=0.5) for row in batch.rows()]

    assert len(rows) == 13


def test_a_process_that_does_not_exist_is_a_usage_error(skep):
    finished = subprocess.run([*skep, "run", "hello", "-p", "4194303"], capture_output=True, text=True, check=False)

    assert finished.returncode == 2
    assert finished.stderr == "skep: there is no process 4194303\n"


def test_living_descendants_are_named(program):
    with Run(program("tracepoint"), command=["sh", "-c", "sleep 3 & exit 0"], stdout=2) as run:
        list(run.batches(duration=60))
        living = run.summary().living

        assert len(living) == 1
        os.kill(living[0], signal.SIGKILL)


def test_a_pid_namespace_is_refused_with_the_reason(skep):
    command = ["unshare", "--pid", "--fork", "--mount-proc", *skep, "run", "hello", "--", "true"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)

    assert finished.returncode == 3
    assert "runs in a container" in finished.stderr
    assert "--pid=host" in finished.stderr


def test_the_commands_output_goes_to_stderr_when_ours_is_no_terminal(skep):
    finished = subprocess.run(
        [*skep, "run", "hello", "-q", "--", "echo", "from the command"], capture_output=True, text=True, check=False
    )

    assert "from the command" not in finished.stdout
    assert finished.stderr == "from the command\n"
    assert "write by process" in finished.stdout


def test_under_sudo_the_command_runs_as_the_user_who_called(skep):
    environment = {**os.environ, "SUDO_UID": "65534", "SUDO_GID": "65534"}
    show = ["sh", "-c", "id -u; id -g"]

    as_user = subprocess.run(
        [*skep, "run", "hello", "-q", "--", *show],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd="/",
    )
    as_root = subprocess.run(
        [*skep, "run", "hello", "-q", "--as-root", "--", *show],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )

    assert as_user.stderr == "65534\n65534\n"
    assert as_root.stderr == "0\n0\n"


def test_nothing_of_the_command_runs_before_all_is_attached(program):
    started = time.monotonic()
    with Run(program("tracepoint"), command=["rm", "-f", "/nowhere"], stdout=2) as run:
        time.sleep(0.2)
        rows = [row for batch in run.batches(duration=60) for row in batch.rows()]

    assert len(rows) == 1
    assert rows[0].time / 1e9 > started + 0.2


def test_a_command_that_is_never_started_is_gone_at_the_end(program):
    with Run(program("tracepoint"), command=["rm", "-f", "/nowhere"], stdout=2):
        pass
