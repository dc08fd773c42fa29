"""What `skep run` shows of what was counted: by itself, and by programs in maps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent.parent / "programs"
WRITES = "for length in (5, 6, 7, 900): __import__('os').write({0}, b'x' * length)"


def shown(source, *options, writes=WRITES):
    """What is printed of a process that writes to /dev/null: its output, line by line, and its process id."""
    # It waits for a line, so that its process id is known before its first write is counted.
    code = f"import os\nsink = os.open('/dev/null', os.O_WRONLY)\ninput()\n{writes.format('sink')}\n"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as writer:
        run = subprocess.Popen(
            [sys.executable, "-m", "skep", "run", str(source), "-p", str(writer.pid), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with run:
            assert run.stderr is not None
            for line in run.stderr:
                if "Ctrl-C ends" in line:
                    break
            writer.communicate(b"\n", timeout=60)
            output, messages = run.communicate(timeout=60)
    assert run.returncode == 0, messages
    return output.splitlines(), writer.pid


@pytest.mark.floors("6.12", "6.1")
def test_maps_are_shown_at_the_end_of_a_run_that_only_counts():
    lines, pid = shown(PROGRAMS / "counts.bpf.o")

    assert [line.split() for line in lines[:5]] == [
        ["EVENT", "PID", "FD", "CALLS", "BYTES"],
        ["writers", str(pid), "3", "4", "918", "B"],
        ["EVENT", "KEY", "VALUE"],
        ["calls", "1", "4"],
        ["lengths", ":", "count", "distribution"],
    ]
    assert [line.split()[:5] for line in lines[7:9]] == [["4", "->", "7", ":", "3"], ["8", "->", "15", ":", "0"]]
    assert lines[-1].split()[:5] == ["512", "->", "1023", ":", "1"]


def test_entries_of_maps_are_records_like_any_other():
    lines, pid = shown(PROGRAMS / "counts.bpf.o", "-o", "json", "--filter", "bytes > 0", "--fields", "pid,calls")

    assert [json.loads(line) for line in lines] == [{"_event": "writers", "pid": pid, "calls": 4}]


def test_events_are_counted_in_groups():
    lines, _ = shown(
        "opensnoop", "--group-by", "filename", "--count", writes="[open('/dev/zero').close() for _ in 'abc']"
    )

    assert [line.split() for line in lines] == [["FILENAME", "COUNT"], ["/dev/zero", "3"]]
