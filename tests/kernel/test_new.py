"""What `skep new` starts runs at once: each kind shows what it is for, from the object that was built on the host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from skep.cli.new import TEMPLATES
from skep.cli.new import main as new
from skep.session.api import tool_names

guest = pytest.mark.floors("6.12")


@pytest.fixture
def run(skep):
    """run(kind, *arguments): the events of that template; skipped where the kernel lacks its hook."""

    def events(kind, *arguments):
        finished = subprocess.run(
            [*skep, "run", os.path.join(TEMPLATES, f"{kind}.bpf.c"), "-o", "json", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if kind == "fentry" and finished.returncode == 3:
            pytest.skip(f"fentry: {finished.stderr.strip()}")
        assert finished.returncode == 0, finished.stderr
        return [json.loads(line) for line in finished.stdout.splitlines()]

    return events


@guest
def test_tracepoint_shows_files_that_are_opened(run, tmp_path):
    path = tmp_path / "opened"
    path.write_text("x")

    events = [event for event in run("tracepoint", "--", "cat", str(path)) if event["filename"] == str(path)]

    assert [event["comm"] for event in events] == ["cat"]


@guest
@pytest.mark.parametrize("options", [[], ["--without", "entered"]], ids=["fentry", "kprobe"])
def test_fentry_shows_files_that_are_removed_once(run, tmp_path, options):
    path = tmp_path / "removed"
    path.write_text("x")

    events = run("fentry", *options, "--", "rm", str(path))

    assert [(event["comm"], event["filename"]) for event in events] == [("rm", str(path))]


@guest
def test_uprobe_shows_host_names_that_are_looked_up(run):
    events = run("uprobe", "--", "getent", "ahosts", "127.0.0.1")

    assert [(event["comm"], event["host"]) for event in events] == [("getent", "127.0.0.1")]


@guest
def test_tp_btf_shows_programs_that_are_executed(run):
    events = run("tp_btf", "--", "sh", "-c", "/bin/true; exit 0")

    assert [(event["comm"], os.path.basename(event["filename"])) for event in events] == [
        ("sh", "sh"),
        ("true", "true"),
    ]
    assert events[1]["ppid"] == events[0]["pid"]


@guest
def test_printk_prints_a_line_for_programs_that_are_executed(run):
    events = run("printk", "--", "sh", "-c", "/bin/true; exit 0")

    assert [event["message"] for event in events] == [f"process {event['tid']} starts a program" for event in events]
    assert len({event["tid"] for event in events}) == 2


@guest
@pytest.mark.parametrize(
    ("kind", "option"),
    [(kind, "--pid-target") for kind in ("tracepoint", "fentry", "uprobe", "printk")] + [("tp_btf", "--parent-target")],
)
def test_each_is_silent_about_another_process(kind, option, run):
    assert run(kind, option, "1", "--", "sh", "-c", "/bin/true; rm -f /nowhere; getent ahosts 127.0.0.1") == []


def test_what_is_started_from_tools_passes_its_tests_at_once(tmp_path):
    tools = tool_names()
    for tool in tools:
        assert new([str(tmp_path / f"my_{tool.replace('-', '_')}"), "--like", tool]) == 0

    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--rootdir", ".", "."]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=tmp_path)

    assert finished.returncode == 0, finished.stdout
    skipped = re.findall(r"^SKIPPED \[1\] test_my_\w+\.py:\d+: (.+)$", finished.stdout, re.MULTILINE)
    assert all("this kernel" in reason or "bpffs" in reason for reason in skipped)
    assert f"\n{len(tools) - len(skipped)} passed" in finished.stdout
