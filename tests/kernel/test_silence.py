"""A run that shows nothing says why, while it goes on."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

_SOURCE = """#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "skep.h"

struct event {
	u32 pid;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

const volatile bool sends = false;

static int tell(void)
{
	struct event *event;

	if (!sends || !skep_in_scope())
		return 0;
	event = skep_reserve(&events, struct event);
	if (!event)
		return 0;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp/syscalls/sys_enter_reboot")
int reboots(void *ctx)
{
	return tell();
}

SEC("?tp/sched/sched_switch")
int switches(void *ctx)
{
	return tell();
}

char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture
def run(tmp_path):
    """run(*arguments): what a run that waits a second for records says."""
    source = tmp_path / "quiet.bpf.c"
    source.write_text(_SOURCE)
    script = (
        "import sys, skep.cli.run as run; run._SILENCE = 1; from skep.cli import main; sys.exit(main(sys.argv[1:]))"
    )

    def said(*arguments):
        command = [sys.executable, "-c", script, "run", str(source), *arguments, "--", "sleep", "2"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr

    return said


def test_a_hook_that_never_fired_says_what_would_fire_it(run):
    assert "skep: nothing for 1 s: no program ran yet: reboots runs when a task calls reboot(2)\n" in run()


def test_filters_that_let_nothing_through(run):
    said = run("--with", "switches")

    assert "nothing for 1 s: programs ran (switches " in said
    assert "and sent nothing: their filters let nothing through\n" in said


def test_nothing_is_said_where_records_come_or_quiet_is_asked_for(run):
    assert "nothing for" not in run("--with", "switches", "--sends")
    assert "nothing for" not in run("--quiet")


def test_an_option_that_lets_nothing_through(run):
    said = run("--with", "switches", "--sends", "--filter", "pid == 99999999")

    assert re.search(r"nothing for 1 s: \d+ records? (was|were) read, and --filter let none through\n", said)
    # At the end once more, of all.
    assert re.search(r"^skep: \d+ records? (was|were) read, and --filter let none through\n", said, re.MULTILINE)
    assert "let none" not in run("--with", "switches", "--sends", "--filter", "pid >= 0")
