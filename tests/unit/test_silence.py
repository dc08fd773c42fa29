"""Why a run shows nothing, in words."""

from __future__ import annotations

import pytest

from skep.kernel.link import MODULES
from skep.spec.sections import parse
from skep.view.silence import fired_by, silence_line

HOOKS = {"reboots": parse("tp/syscalls/sys_enter_reboot")}


@pytest.mark.parametrize(
    ("section", "event"),
    [
        ("tp/syscalls/sys_enter_reboot", "a task calls reboot(2)"),
        ("tp/syscalls/sys_exit_openat", "a call of openat(2) returns"),
        ("tp/sched/sched_switch", "the kernel passes the tracepoint sched/sched_switch"),
        ("raw_tp/sys_enter", "the kernel passes the tracepoint sys_enter"),
        ("fentry/do_unlinkat", "the kernel calls do_unlinkat()"),
        ("kretprobe/do_unlinkat", "do_unlinkat() of the kernel returns"),
        ("ksyscall/openat", "a task calls openat(2)"),
        ("lsm/file_open", "the kernel asks for the permission file_open"),
        ("xdp", "a packet arrives at the interface"),
        ("tcx/egress", "a packet leaves by the interface"),
        ("cgroup/connect4", "cgroup/connect4 happens"),
    ],
)
def test_what_makes_a_program_run(section, event):
    assert fired_by(parse(section)) == event


def test_every_kind_has_something_that_makes_it_run():
    assert all(fired_by(parse(f"{kind}/target")) for kind in MODULES)


@pytest.mark.parametrize(
    ("account", "line"),
    [
        ({"runs": {"reboots": 0}}, "no program ran yet: reboots runs when a task calls reboot(2)"),
        (
            {"runs": {"reboots": 3}},
            "programs ran (reboots 3 times) and sent nothing: their filters let nothing through",
        ),
        (
            {"runs": {"reboots": 3}, "lost": 3},
            "3 records found no room: larger rings or maps have it (--map NAME.max_entries=N)",
        ),
        (
            {"runs": {"reboots": 3}, "out_of_scope": 2},
            "2 records were of processes that were not asked for (--system shows all)",
        ),
        ({"runs": None}, "whether programs ran is not told without root"),
        ({"runs": {"reboots": 3}, "filtered": 1}, "1 record was read, and --filter let none through"),
        ({"runs": {"reboots": 3}, "filtered": 3}, "3 records were read, and --filter let none through"),
    ],
)
def test_the_cases_are_told_apart(account, line):
    known = {"lost": 0, "out_of_scope": 0, **account}

    assert silence_line(10, HOOKS, **known) == f"nothing for 10 s: {line}"
