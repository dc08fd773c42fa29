"""The account of a run, in words."""

from __future__ import annotations

import pytest

from skep.view.summary import summary_lines

NOTHING = {
    "events": {},
    "lost": 0,
    "out_of_scope": 0,
    "runs": None,
    "streams": 1,
    "command": None,
    "living": [],
    "missed": 0,
    "not_attached": {},
    "unheard": [],
    "unheard_missed": False,
}


@pytest.mark.parametrize(
    ("account", "lines"),
    [
        pytest.param({}, ["0 events, 0 lost"], id="nothing happened"),
        pytest.param({"events": {"events": 1}}, ["1 event, 0 lost"], id="one event"),
        pytest.param(
            {"events": {"a": 1, "b": 2}, "lost": 3}, ["3 events (a 1, b 2), 3 lost"], id="two sources, and losses"
        ),
        pytest.param(
            {"lost": None}, ["0 events, lost not counted (skep_reserve of skep.h counts)"], id="losses unknown"
        ),
        pytest.param({"out_of_scope": 4}, ["0 events, 0 lost, 4 out of scope"], id="events of others"),
        pytest.param(
            {"runs": {"a": 0}},
            ["0 events, 0 lost", "runs: a 0", "no program ever ran: what they are attached to did not happen"],
            id="the hook never fired",
        ),
        pytest.param(
            {"runs": {"a": 2}},
            ["0 events, 0 lost", "runs: a 2", "programs ran, and sent nothing: their filters let nothing through"],
            id="all was filtered",
        ),
        pytest.param(
            {"not_attached": {"a": "no f", "b": "in favour of c", "d": "no f"}},
            ["0 events, 0 lost", "not attached: a, d (no f); b (in favour of c)"],
            id="programs left out",
        ),
        pytest.param({"command": ("ls", 0)}, ["0 events, 0 lost"], id="a command that ended well"),
        pytest.param({"command": ("ls", 2)}, ["0 events, 0 lost", "ls exited with 2"], id="a command that failed"),
        pytest.param({"command": ("ls", -9)}, ["0 events, 0 lost", "ls was ended by signal 9"], id="a killed command"),
        pytest.param(
            {"living": [7, 8]},
            ["0 events, 0 lost", "still running, started by the command: 7, 8"],
            id="descendants that live on",
        ),
        pytest.param(
            {"missed": 5},
            ["0 events, 0 lost", "at least 5 tasks were not followed: the tree has more than 16384"],
            id="a huge tree",
        ),
        pytest.param(
            {"unheard": [1, 3]},
            [
                "0 events, 0 lost",
                "records of CPU 1, 3 are missing: what comes online during a run is not read; start it anew",
            ],
            id="CPUs that came",
        ),
        pytest.param(
            {"unheard": [1], "unheard_missed": True},
            [
                "0 events, 0 lost",
                "records of CPU 1 are missing: what comes online during a run is not read; start it anew",
                "whether other CPUs came online is not known: more devices came and went than the kernel announces",
            ],
            id="CPUs that came, and perhaps others",
        ),
        pytest.param(
            {"unheard_missed": True},
            [
                "0 events, 0 lost",
                "whether CPUs came online is not known: more devices came and went than the kernel announces",
            ],
            id="CPUs that perhaps came",
        ),
        pytest.param({"command": ("\x1b[2J", 1)}, ["0 events, 0 lost", r"\x1b[2J exited with 1"], id="a hostile name"),
    ],
)
def test_the_account_says_what_was_and_what_was_not(account, lines):
    assert summary_lines(**NOTHING | account) == lines
