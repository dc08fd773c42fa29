"""Every shell block of the documents is run, top to bottom, and what it prints is what the document shows.

A block is fenced as `console`, or indented and begins with `$ `. A line that starts with `$ ` is a command, and the
lines below it are its output; with a line `...` among them they are a part of it. Where the document shows no output,
the command has to succeed. A file that the document shows is there for the commands after it: a fence with a caption,
or the output of `cat FILE` where there is no such file yet.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from skep.base.errors import UnsupportedError
from skep.session.run import Run

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "docs/tutorial.md"]
DOCUMENTS += [path for folder in ("learn", "how-to") for path in sorted((ROOT / "docs" / folder).glob("*.md"))]

# What changes from run to run: a pattern, and what stands for it in the comparison.
MASKS = (
    # The documents' machine is called vm.
    (rf"^{re.escape(Path('/etc/hostname').read_text().strip())}$", "vm"),
    (r"\b\d\d:\d\d:\d\d\.\d{6}\b", "TIME"),
    (r'"\d{4}-\d\d-\d\dT[^"]*"', "MOMENT"),
    (r'("(?:ts|time|pid|tid)"): \d+', r"\1: N"),
    (r", \d+ out of scope", ""),
    (r"\bprocess \d+", "process N"),
    # Counts, in the lines of the summary.
    (r"^(skep: )\d+( events?\b)", r"\1N\2"),
    (r"(?<=[a-z]) \d+(?=, |$)", " N"),
    # A cell of a table that is a number: a process, a thread, a CPU.
    (r"(?:^|(?<=  ))\d+(?=  )", "N"),
    # How wide a column is depends on what is in it.
    (r" +", " "),
)

# Commands that are not run here, and why.
NOT_RUN = {
    "make demo": "sets up this folder, in which the tests run",
    'sudo ln -s "$PWD/.venv/bin/skep" /usr/local/bin/': "changes this machine",
    "make test": "is what runs this",
    "bench/run strangers": "takes a quarter of an hour",
    "sudo skep run opens.bpf.c --pid-target 1234": "runs until Ctrl-C",
    "sudo skep run opens.bpf.c -p 1234": "runs as long as process 1234, which may be anybody's",
    "sudo skep run opens.bpf.c -o json": "runs until Ctrl-C, and shows what others do",
}


def blocks(text: str) -> list[tuple[str, list[str]]]:
    """What a document shows in order: ("console", its lines), or (the name of a file, its lines)."""
    found: list[tuple[str, list[str]]] = []
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("```"):
            inside = []
            while (inner := next(lines)) != "```":
                inside.append(inner)
            if line == "```console":
                found.append(("console", inside))
            elif inside[0].startswith(":caption: "):
                found.append((inside[0].removeprefix(":caption: "), inside[2:]))
        elif line.startswith("    $ "):
            found.append(("console", [line[4:]]))
        elif found and found[-1][0] == "console" and (line.startswith("    ") or not line):
            found[-1][1].append(line[4:])
        else:
            found.append(("text", []))
    return [block for block in found if block[0] != "text"]


def commands(block: list[str]) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with the output that is shown."""
    found: list[tuple[str, list[str]]] = []
    for line in block:
        if line.startswith("$ "):
            found.append((re.sub(r"\s+# .*", "", line[2:]), []))
        else:
            found[-1][1].append(line)
    for _, output in found:
        while output and not output[-1]:
            output.pop()
    return found


def masked(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.splitlines()]
    for pattern, mark in MASKS:
        lines = [re.sub(pattern, mark, line) for line in lines]
    return lines


def difference(shown: list[str], output: str, messages: str) -> str:
    """The first line that is shown and does not come, or comes and is not shown; "" if there is none.

    Standard output and error come in the order of each; what a terminal makes of the two is not determined.
    """
    streams = [masked(output), masked(messages)]
    whole = "..." not in shown
    for line in masked("\n".join(shown)):
        if line == "...":
            continue
        for stream in streams:
            if line in (stream[:1] if whole else stream):
                del stream[: stream.index(line) + 1]
                break
        else:
            return f"is shown, and does not come: {line}"
    left = [line for stream in streams for line in stream if whole]
    return f"comes, and is not shown: {left[0]}" if left else ""


@pytest.fixture
def shell(tmp_path):
    """shell(command): runs it as bash does, in a folder of its own, with skep in the path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUDO_")}
    environment |= {"LC_ALL": "C", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(command: str) -> subprocess.CompletedProcess[str]:
        # We are root already, and sudo may not be installed.
        command = re.sub(r"^sudo ", "", command)
        return subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.parametrize("document", [pytest.param(path, id=path.stem) for path in DOCUMENTS])
def test_what_a_document_shows_is_what_happens(document, shell, tmp_path):
    wrong = []
    for kind, lines in blocks(document.read_text()):
        if kind != "console":
            (tmp_path / kind).write_text("\n".join(lines) + "\n")
            continue
        for command, shown in commands(lines):
            name = command.removeprefix("cat ")
            if command.startswith("cat ") and not (tmp_path / name).exists():
                (tmp_path / name).write_text("\n".join(shown) + "\n")
                continue
            if command in NOT_RUN:
                continue
            finished = shell(command)
            found = difference(shown, finished.stdout, finished.stderr) if shown else ""
            if found and ("out of scope" in finished.stderr or " MESSAGE\n" in finished.stdout):
                # Others were at it, too, which changes what the summary says; or a line of printk was read before the
                # kernel noted the task's new name (kernel/trace/trace_sched_switch.c: when it leaves its CPU).
                finished = shell(command)
                found = difference(shown, finished.stdout, finished.stderr)
            if not shown and finished.returncode:
                found = f"exits with {finished.returncode}"
            if found:
                wrong.append(f"$ {command}\n{found}\n--- it printed\n{finished.stdout}{finished.stderr}")

    assert not wrong, "\n\n".join(wrong)


# The virtual machines have no compiler: what the page shows was built on the host, as a file beside other programs.
@pytest.mark.floors("6.12")
def test_the_lesson_of_verdicts_refuses_the_tasks_of_one_cgroup(program, cgroup, tmp_path):
    ((_, lines),) = [
        block for block in blocks((ROOT / "docs/learn/9-a-verdict.md").read_text()) if block[0] != "console"
    ]
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    kept.touch()
    gone.touch()
    command = ["sh", "-c", f"rm {gone}; echo 0 >{cgroup}/cgroup.procs; rm {kept} 2>/dev/null; exit 0"]

    assert "\n".join(lines) + "\n" == (ROOT / "tests/programs/verdict.bpf.c").read_text()
    try:
        with Run(program("verdict"), command=command, fill={"cgroups": {0: str(cgroup)}}) as run:
            rows = [row for batch in run.batches(duration=60) for row in batch.rows()]
    except UnsupportedError as error:
        pytest.skip(str(error))
    assert [(row.comm, row.ret, row.name) for row in rows] == [("rm", -1, "kept")]
    assert kept.exists()
    assert not gone.exists()


def test_what_is_not_run_is_still_in_a_document():
    there = {
        command
        for document in DOCUMENTS
        for kind, lines in blocks(document.read_text())
        if kind == "console"
        for command, _ in commands(lines)
    }

    assert not NOT_RUN.keys() - there


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        (["one", "two", "error"], ""),
        (["error", "one", "two"], ""),
        (["one", "...", "error"], ""),
        (["one", "..."], ""),
        (["two", "one", "error"], "is shown, and does not come: two"),
        (["one", "two"], "comes, and is not shown: error"),
        (["one", "two", "error", "three"], "is shown, and does not come: three"),
    ],
)
def test_a_difference_is_found(shown, found):
    assert difference(shown, "one\ntwo\n", "error\n") == found


def test_what_changes_from_run_to_run_is_masked_and_nothing_else():
    here = masked("10:03:20.674977    30877  cat   3  /etc/motd\nskep: 3 events, 0 lost, 103 out of scope")
    there = masked("23:59:59.000001       12  cat       4  /etc/motd\nskep: 12 events, 0 lost")

    assert here == there
    assert masked("skep: 1 event, 0 lost") != masked("skep: 1 event, 1 lost")
    assert masked("12  cat  /etc/motd") != masked("12  cat  /etc/issue")
