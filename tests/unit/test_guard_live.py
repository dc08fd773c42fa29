"""What the guard keeps and says of a watch; the members of sets; nothing of it needs a kernel."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import pytest

from skep.base.errors import ProfileError, SourceNotFoundError, UsageError
from skep.cli.guard import main
from skep.guard import state
from skep.guard.behaviour import Run
from skep.guard.items import items_of
from skep.guard.live.learning import executable_of, find_processes
from skep.guard.live.lineage import lineage
from skep.guard.live.watched import expected_alarms, loud_kinds, usual
from skep.guard.live.watcher import Subject
from skep.guard.profile import learn
from skep.guard.reading import read_thread
from skep.guard.state import Log, ago, find_alarm, known_names, place_of
from skep.guard.telling import alarm_lines, status_line

ALARM = {
    "alarm": "web-1",
    "profile": "/profiles/web.profile",
    "program": "/usr/sbin/web",
    "began": 1000.5,
    "lasted": 0.25,
    "evidence": [
        {"kind": "child", "what": "/bin/sh", "times": 2, "seen": 0, "usual": ""},
        {"kind": "arguments", "what": "mmap 0x7", "times": 1, "seen": 0, "usual": "mmap 0x5 (33 times)"},
        {"kind": "sequence", "what": "read fork", "times": 1, "seen": 3, "usual": "write (90%)"},
        {"kind": "call", "what": "fork", "times": 1, "seen": 0, "usual": ""},
    ],
    "processes": [
        [
            {"pid": 8, "comm": "web", "exe": "/usr/sbin/web", "command": "web -f"},
            {"pid": 1, "comm": "", "exe": "", "command": ""},
        ]
    ],
    "reports_lost": 0,
    "confidence": 1.0,
    "false_alarms_a_day": 2.0,
}


@pytest.mark.parametrize(
    ("name", "event", "items"),
    [
        ("openat", {"path": "/etc/hosts", "arguments": "0x80000"}, ["path /etc/hosts", "arguments openat 0x80000"]),
        (
            "openat",
            {"path": "/log", "arguments": "0x241"},
            ["path /log", "change empty /log", "arguments openat 0x241"],
        ),
        (
            "open",
            {"path": "/log", "arguments": "0x441"},
            ["path /log", "change append to /log", "arguments open 0x441"],
        ),
        ("open", {"path": "/log", "arguments": "0x2"}, ["path /log", "change write /log", "arguments open 0x2"]),
        ("openat", {"path": "/log", "arguments": "garbled"}, ["path /log", "arguments openat garbled"]),
        ("unlink", {"path": "/tmp/4711"}, ["path /tmp/*", "change remove /tmp/*"]),
        ("stat", {"path": "/tmp"}, ["path /tmp"]),
        ("bind", {"peer": "127.0.0.1:80"}, ["listen 127.0.0.1:80"]),
        ("connect", {"peer": "127.0.0.1:80", "ret": -111}, ["peer 127.0.0.1:80", "result connect ECONNREFUSED"]),
        ("execve", {"child": "/usr/bin/cat"}, ["child /usr/bin/cat"]),
        ("read", {}, []),
    ],
)
def test_a_call_is_for_members_of_sets(name, event, items):
    assert [" ".join(item) for item in items_of(event, name)] == items


def lasting(seconds, files):
    """What is learned of runs that took so long, and opened these files."""
    runs = []
    for name in files:
        calls = [({"syscall": 257, "ts": 0, "path": name}, 0), ({"syscall": 1, "ts": seconds * 10**9}, 0)]
        runs.append(Run("", [read_thread(calls, "x86_64")]))
    return learn(runs, "x86_64")


@pytest.mark.parametrize(
    ("seconds", "files", "expected"),
    [
        # Nothing was new in two days: less than one in two days is to be expected.
        (86400, ["/a", "/a"], 1 + 1 / 2),
        # As many as episodes fit into a day.
        (1, ["/a", "/a"], 8640),
    ],
)
def test_no_more_false_alarms_are_expected_than_there_can_be(seconds, files, expected):
    assert expected_alarms(lasting(seconds, files)) == pytest.approx(expected)


def test_what_only_one_run_had_is_expected_again():
    profile = lasting(86400, ["/a", "/b"])

    assert loud_kinds(profile) == ["change", "child", "peer", "listen", "arguments", "call"]
    assert expected_alarms(profile) == pytest.approx(1 + 1 / 2)


def test_what_is_usual_is_what_begins_alike():
    calls = [({"syscall": 257, "ts": 0, "path": f"/d{n}/{n}/some/file", "arguments": "0x0"}, 0) for n in range(3000)]
    calls += [({"syscall": 56, "ts": 0, "arguments": "0x11"}, 0), ({"syscall": 257, "ts": 0, "path": "/etc/hosts"}, 0)]
    profile = learn([Run(name, [read_thread(calls, "x86_64")]) for name in "ab"], "x86_64")

    assert usual(profile, "path", "/etc/shadow") == "/etc/hosts (2 times)"
    assert usual(profile, "arguments", "clone 0x1200011") == "clone 0x11 (2 times)"
    # What other calls are for is not what is usual for this one.
    assert usual(profile, "arguments", "mmap 0x7") == ""
    assert usual(profile, "peer", "127.0.0.1:1") == ""
    assert usual(profile, "call", "ptrace") == ""


def test_a_process_that_there_is_not_is_no_subject():
    with subprocess.Popen(["true"]) as process:
        process.wait()
        for of in (lambda pid: Subject(pid=pid), executable_of):
            with pytest.raises(UsageError, match=r"no process|has ended"):
                of(process.pid)
    with pytest.raises(UsageError, match="No such file"):
        Subject(exe="/no/such")
    assert executable_of(os.getpid()) == os.path.realpath(sys.executable)


def test_who_learns_is_not_learned_from():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        found = find_processes(exe=sys.executable)
        process.communicate(b"\n")

    assert process.pid in found
    assert os.getpid() not in found


def born():
    """When this process was, in nanoseconds since the machine started: as coarse as it is told."""
    with open("/proc/self/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return ticks * 10**9 // os.sysconf("SC_CLK_TCK")


def test_a_process_is_told_with_those_above_it():
    pid = os.getpid()
    mine, above, *_ = lineage(pid, 1, "then", pid, born())

    assert (mine["pid"], mine["comm"], mine["exe"]) == (pid, "then", os.path.realpath("/proc/self/exe"))
    assert "python" in mine["command"]
    assert above["pid"] == os.getppid()


@pytest.mark.parametrize("tid", [os.getpid(), 2**30])
def test_of_a_process_that_is_gone_another_one_with_its_number_says_nothing(tid):
    other = lineage(os.getpid(), os.getppid(), "then", tid, born() - 10**9)

    assert other[0] == {"pid": os.getpid(), "comm": "then", "exe": "", "command": ""}
    assert other[1]["pid"] == os.getppid()


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder of profiles, of one who is not root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "skep" / "guard"


def test_a_name_stands_for_a_profile_and_a_path_for_itself(kept, tmp_path, monkeypatch):
    assert place_of("web") == str(kept / "web.profile")
    assert place_of("./web") == "./web"
    assert place_of("web.profile") == str(kept / "web.profile")
    with pytest.raises(UsageError, match="has a name"):
        place_of("")
    (tmp_path / "here.profile").touch()
    assert place_of("here.profile") == "here.profile"
    assert known_names() == []
    kept.mkdir(parents=True)
    for name in ("web.profile", "db.profile", "web.alarms"):
        (kept / name).touch()
    assert known_names() == ["db", "web"]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert place_of("web") == "/var/lib/skep/guard/web.profile"


def test_alarms_are_kept_and_found_by_their_names(kept):
    kept.mkdir(parents=True)
    log = Log(place_of("web"))
    assert log.watched_until() is None
    assert log.alarms() == {}

    log.touch()
    log.add(ALARM)
    log.add({**ALARM, "lasted": 3.0})
    assert (kept / "web.alarms").stat().st_mode & 0o777 == 0o600
    assert log.watched_until() == (kept / "web.alarms").stat().st_mtime
    assert find_alarm("web-1")["lasted"] == 3.0
    assert find_alarm(str(kept / "web-1"))["lasted"] == 3.0
    for name in ("web-2", "db-1", "web"):
        with pytest.raises(SourceNotFoundError):
            find_alarm(name)


def test_that_nothing_is_known_yet_is_said(kept, capsys):
    assert main(["status"]) == 0

    assert capsys.readouterr().err == f"skep: no profiles in {kept}\nskep guard learn NAME -- COMMAND makes one.\n"


def test_alarms_of_two_watches_have_names_of_their_own(kept):
    kept.mkdir(parents=True)
    logs = [Log(place_of("web")), Log(place_of("web"))]
    alarms = [{**ALARM, "alarm": ""} for _ in range(4)]
    for number, alarm in enumerate(alarms):
        logs[number % 2].add(alarm)

    assert [alarm["alarm"] for alarm in alarms] == ["web-1", "web-2", "web-3", "web-4"]
    assert list(logs[0].alarms()) == ["web-1", "web-2", "web-3", "web-4"]


def test_the_oldest_alarms_make_way_and_no_name_comes_again(kept, monkeypatch):
    kept.mkdir(parents=True)
    size = len(json.dumps(ALARM)) + 1
    monkeypatch.setattr(state, "_FULL", 3 * size)
    logs = [Log(place_of("web")), Log(place_of("web"))]
    first = {**ALARM, "alarm": ""}
    logs[0].add(first)
    for number in range(8):
        logs[number % 2].add({**ALARM, "alarm": ""})
        # What an alarm has become stays with it, wherever it began.
        logs[0].add({**first, "lasted": float(number)})
        kept_now = logs[0].alarms()
        assert kept_now[f"web-{number + 2}"]["alarm"] == f"web-{number + 2}"
        assert kept_now["web-1"]["lasted"] == number

    assert sorted(file.name for file in kept.iterdir()) == ["web.alarms", "web.alarms.old"]
    assert sum(file.stat().st_size for file in kept.iterdir()) < 10 * size
    assert "web-2" not in logs[0].alarms()


@pytest.mark.parametrize("room", [0, 1000])
def test_an_alarm_that_cannot_be_kept_has_a_name_and_leaves_the_others(kept, room):
    kept.mkdir(parents=True)
    log = Log(place_of("web"))
    log.add({**ALARM, "alarm": ""})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    alarm = {**ALARM, "alarm": "", "program": "x" * 1000}
    resource.setrlimit(resource.RLIMIT_FSIZE, ((kept / "web.alarms").stat().st_size + room, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large|No space left"):
            log.add(alarm)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    later = {**ALARM, "alarm": ""}
    log.add(later)

    assert (alarm["alarm"], later["alarm"]) == ("web-2", "web-3")
    assert list(log.alarms()) == ["web-1", "web-3"]


def test_explain_takes_the_name_that_an_alarm_tells(kept):
    kept.mkdir(parents=True)
    for path in (place_of("web"), "here.profile", "./there.profile"):
        alarm = {**ALARM, "alarm": ""}
        Log(path).add(alarm)
        assert find_alarm(Log(path).name_of(alarm)) == alarm
    assert Log(place_of("web")).name_of(ALARM) == "web-1"


def test_a_line_that_was_cut_short_is_no_alarm(kept):
    kept.mkdir(parents=True)
    log = Log(place_of("web"))
    log.add(ALARM)
    with (kept / "web.alarms").open("a") as file:
        file.write('{"alarm": "web-2", "prog')
    assert list(log.alarms()) == ["web-1"]

    log.add({**ALARM, "alarm": "web-2"})
    assert list(log.alarms()) == ["web-1", "web-2"]


@pytest.mark.parametrize("text", ["no json\n", "[]\n", "{}\n", "\xff\n"])
def test_a_damaged_file_of_alarms_is_refused(kept, text):
    kept.mkdir(parents=True)
    (kept / "web.alarms").write_text(text, "latin-1")

    with pytest.raises(ProfileError, match="damaged"):
        Log(place_of("web")).alarms()


def test_an_alarm_is_told_briefly_or_whole():
    brief = list(alarm_lines(ALARM))
    assert brief[0].startswith("web-1: 19")
    assert brief[0].endswith("/usr/sbin/web does what it never did")
    assert brief[1:] == [
        "  child /bin/sh: 2 times, never seen in training",
        (
            "  arguments mmap 0x7: once, never seen in training; usual: mmap 0x5 (33 times)"
            " (memory to be written and executed)"
        ),
        "  sequence read fork: once, seen 3 times in training; usual: write (90%)",
        "  and 1 more: skep guard explain /profiles/web-1",
        "  process web (8) < ? (1)",
    ]

    assert list(alarm_lines({**ALARM, "unkept": "No space left"}))[-1] == "  it is not kept: No space left"
    assert "  it runs another build than any that was learned from" in alarm_lines({**ALARM, "rebuilt": True})

    whole = list(alarm_lines({**ALARM, "reports_lost": 3, "confidence": 0.25, "program": ""}, whole=True))
    assert whole[0].endswith("the program does what it never did")
    assert whole[4:] == [
        "  call fork: once, never seen in training",
        "  process web (8) < ? (1)",
        "    8: web -f",
        "  3 reports are missing: confidence 25%",
        "  lasted 0.2 s; at most 2.0 false alarms a day are to be expected",
    ]


def test_a_state_is_told_in_a_line():
    state = {
        "name": "web",
        "program": "",
        "calls": 7,
        "runs": 2,
        "settled": False,
        "new_pairs_in_10000_calls": 30.5,
        "false_alarms_a_day": 1.5,
        "alarms": ["web-1"],
        "alarming_kinds": [],
        "watched_until": None,
    }
    assert status_line(state) == (
        "web: (not said): 7 calls in 2 runs, not settled (30.5 new pairs in 10,000); at most 1.5 false alarms a day; "
        "1 alarms; never watched; alone alarming: nothing"
    )
    settled = {**state, "settled": True, "alarming_kinds": ["path", "peer"], "watched_until": 5.0}
    assert ", settled; at most" in status_line(settled)
    assert "watched until 19" in status_line(settled)
    assert status_line(settled).endswith("alone alarming: path, peer")
    assert json.loads(json.dumps(state)) == state


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "3 seconds"), (7200, "2 hours"), (300, "5 minutes"), (1e6, "12 days")]
)
def test_a_stretch_of_time_is_told_in_one_unit(seconds, text):
    assert ago(seconds) == text
