"""Profiles: learned, merged, compared, kept in files, and refused when anything about the file is wrong."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from skep.base.errors import ProfileError, SourceNotFoundError, UsageError
from skep.guard.behaviour import Run, Trace
from skep.guard.identity import program_of
from skep.guard.judging import Judge
from skep.guard.profile import Program, learn
from skep.guard.reading import read_folder
from skep.guard.report import difference, difference_lines, profile_data, profile_lines
from skep.guard.store import _checksum, load, save

TRACES = Path(__file__).parent.parent / "traces"


def run(name, calls, when=0, **more):
    return Run(name, [Trace(np.array(calls, np.uint64), **more)], when)


def worker(name, *, role="", items=(), calls=(1, 2, 3, 2) * 30, when=0):
    return Run(name, [Trace(np.array(calls, np.uint64), role, items=items)], when)


@pytest.fixture(scope="module")
def openssl():
    """What was learned of the recorded runs of openssl."""
    return learn(read_folder(str(TRACES / "train"), "x86_64"), "x86_64")


@pytest.mark.parametrize(
    ("runs", "how_many"),
    [([], "none"), ([run("a", [])], "none"), ([run("a", [1, 2])], "1"), ([run("a", [1, 2]), run("b", [])], "1")],
)
def test_less_than_two_runs_teach_nothing(runs, how_many):
    with pytest.raises(UsageError, match=f"two runs at least, and {how_many} of these"):
        learn(runs, "x86_64")


def test_fragments_between_lost_events_teach_nothing():
    def run_of(whole):
        calls = np.array([1, 2, 3], np.uint64)
        return Run("run", [Trace(calls, "worker", lost=np.ones(3)), *([Trace(calls, "main")] if whole else [])])

    assert list(learn([run_of(True), run_of(True)], "x86_64").roles) == ["main"]
    with pytest.raises(UsageError, match="too many events are missing"):
        learn([run_of(False), run_of(False)], "x86_64")


def test_runs_of_one_call_are_learned_from():
    profile = learn([run("a", [5]), run("b", [5]), run("c", [6])], "x86_64")

    assert profile.calls == 3
    assert not profile.settled


def test_what_each_run_brings_anew_has_not_settled():
    pick = np.random.default_rng(5)
    strange = learn([run(str(number), pick.integers(1, 400, 500)) for number in range(10)], "x86_64")
    steady = learn([run(str(number), [1, 2, 3, 4] * 125) for number in range(10)], "x86_64")

    assert (strange.settled, steady.settled) == (False, True)
    assert strange.unsettled > 1000
    assert steady.unsettled == 0


def test_a_profile_comes_back_from_its_file_as_it_was(tmp_path, openssl):
    path = str(tmp_path / "profile")
    save(openssl, path)
    again = load(path)

    assert profile_data(again) == profile_data(openssl)
    for attack in read_folder(str(TRACES / "attack"), "x86_64"):
        mine, theirs = Judge(openssl).judge(attack), Judge(again).judge(attack)
        assert (mine.rarity, mine.voices, mine.nearest) == (theirs.rarity, theirs.voices, theirs.nearest)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["profile"]


def test_equal_recordings_give_equal_files(tmp_path, openssl):
    again = learn(read_folder(str(TRACES / "train"), "x86_64"), "x86_64")
    for name, profile in (("left", openssl), ("right", again)):
        save(profile, str(tmp_path / name))

    assert (tmp_path / "left").read_bytes() == (tmp_path / "right").read_bytes()


def test_roles_items_and_identity_come_back_too(tmp_path):
    items = [(0, "path", "/etc/hosts"), (3, "peer", "10.0.0.1:443"), (5, "path", "/etc/hosts")]
    runs = [worker(str(number), role="worker-*", items=items, when=100 + number) for number in range(3)]
    profile = learn(runs, "aarch64", Program("/bin/it", ("b", "a"), "/it.slice"))
    save(profile, str(tmp_path / "profile"))

    data = profile_data(load(str(tmp_path / "profile")))

    assert (data["program"], data["build_ids"], data["cgroup"]) == ("/bin/it", ["a", "b"], "/it.slice")
    assert data["architecture"] == "aarch64"
    assert data["roles"]["worker-*"]["items"] == [
        {"kind": "path", "value": "/etc/hosts", "count": 6, "runs": 3, "first": 100, "last": 102},
        {"kind": "peer", "value": "10.0.0.1:443", "count": 3, "runs": 3, "first": 100, "last": 102},
    ]


def test_a_new_profile_takes_the_place_of_an_old_one(tmp_path, openssl):
    path = str(tmp_path / "profile")
    save(learn([run("a", [1, 2]), run("b", [1, 2])], "x86_64"), path)
    save(openssl, path)

    assert load(path).calls == openssl.calls


def test_where_nothing_can_be_written_nothing_is_left(tmp_path, openssl):
    with pytest.raises(OSError, match="No such file"):
        save(openssl, str(tmp_path / "none" / "profile"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        save(openssl, str(tmp_path / "folder"))

    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9, 0.999])
def test_a_profile_cut_short_is_refused(tmp_path, openssl, share):
    path = tmp_path / "profile"
    save(openssl, str(path))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])

    with pytest.raises(ProfileError, match="damaged"):
        load(str(path))


def test_what_is_no_profile_is_refused(tmp_path):
    (tmp_path / "text").write_text("read write\n")
    with closing(sqlite3.connect(tmp_path / "other")) as database:
        database.execute("CREATE TABLE meta(name, value)")
    for name in ("text", "other"):
        with pytest.raises(ProfileError, match="damaged, or no profile"):
            load(str(tmp_path / name))
    for name in ("none", "."):
        with pytest.raises(SourceNotFoundError, match="no such profile"):
            load(str(tmp_path / name))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE grams SET data = zeroblob(40) WHERE kind = 'pairs'",
        "UPDATE meta SET value = 'i386' WHERE name = 'architecture'",
        "DELETE FROM calibration WHERE voice = 'novelty'",
        "DELETE FROM meta WHERE name = 'checksum'",
        "INSERT INTO items VALUES ('', 'path', '/etc/shadow', 1, 1, 1, 1)",
        "UPDATE mixes SET run = 'other' WHERE position = 3",
        "UPDATE roles SET seconds = 7",
        "DROP TABLE items",
    ],
)
def test_a_profile_that_was_tampered_with_is_refused(tmp_path, openssl, statement):
    path = str(tmp_path / "profile")
    save(openssl, path)
    with closing(sqlite3.connect(path)) as database:
        changed = database.execute(statement).rowcount
        database.commit()

    assert changed
    with pytest.raises(ProfileError, match="damaged"):
        load(path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE calibration SET step = 0",
        "UPDATE calibration SET step = 'often'",
        "UPDATE roles SET seconds = -1",
        "UPDATE roles SET seconds = 'long'",
        "DELETE FROM mixes",
    ],
)
def test_what_no_profile_holds_is_refused_though_its_checksum_is_right(tmp_path, openssl, statement):
    path = str(tmp_path / "profile")
    save(openssl, path)
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.execute("UPDATE meta SET value = ? WHERE name = 'checksum'", (_checksum(database),))
        database.commit()

    with pytest.raises(ProfileError, match="damaged"):
        load(path)


def test_a_profile_of_another_version_says_so(tmp_path, openssl):
    path = str(tmp_path / "profile")
    save(openssl, path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")

    with pytest.raises(ProfileError, match="version 99, and this skep reads version 2") as caught:
        load(path)
    assert "Learn anew" in str(caught.value.remedy)


def test_merging_adds_counts_up():
    runs = [worker(str(number), items=[(0, "path", f"/etc/{number % 2}")], when=number) for number in range(8)]
    whole, halves = learn(runs, "x86_64"), learn(runs[:4], "x86_64") + learn(runs[4:], "x86_64")

    assert halves.calls == whole.calls
    assert halves.unsettled == whole.unsettled
    mine, theirs = profile_data(halves), profile_data(whole)
    assert mine == theirs
    assert halves.roles[""].grams.keys.tolist() == whole.roles[""].grams.keys.tolist()
    assert halves.roles[""].grams.counts.tolist() == whole.roles[""].grams.counts.tolist()


def test_roles_of_one_side_are_kept():
    left = learn([worker("a", role="reader"), worker("b", role="reader")], "x86_64")
    right = learn([worker("c", role="writer"), worker("d", role="writer")], "x86_64")

    assert sorted((left + right).roles) == ["reader", "writer"]


def test_a_merged_profile_is_learned_by_a_reloaded_one(tmp_path, openssl):
    save(openssl, str(tmp_path / "one"))
    save(load(str(tmp_path / "one")) + openssl, str(tmp_path / "both"))

    assert load(str(tmp_path / "both")).calls == 2 * openssl.calls


@pytest.mark.parametrize(
    ("architecture", "program", "what"),
    [
        ("i386", Program("/bin/it"), "architecture"),
        ("x86_64", Program("/bin/other"), "program"),
        ("x86_64", Program("/bin/it", (), "/x"), "cgroup"),
    ],
)
def test_profiles_of_different_things_do_not_merge(architecture, program, what):
    runs = [run("a", [1, 2]), run("b", [1, 2])]
    left, right = learn(runs, "x86_64", Program("/bin/it", ("1",))), learn(runs, architecture, program)

    with pytest.raises(UsageError, match=f"differ in their {what}"):
        left + right


def test_builds_of_one_program_merge():
    runs = [run("a", [1, 2]), run("b", [1, 2])]
    both = learn(runs, "x86_64", Program("/bin/it", ("1",))) + learn(runs, "x86_64", Program("/bin/it", ("2",)))

    assert both.program.build_ids == ("1", "2")


def test_a_folder_of_very_many_names_is_one_item():
    runs = [worker(str(r), items=[(0, "path", f"/spool/n{r}x{n}") for n in range(40)]) for r in range(2)]
    role = learn(runs, "x86_64").roles[""]

    assert list(role.items) == [("folder", "/spool/")]
    assert role.items["folder", "/spool/"].count == 80
    assert role.knows("path", "/spool/never-seen")
    assert not role.knows("path", "/etc/never-seen")


def test_a_random_name_in_a_folder_does_not_make_the_others_known():
    items = [(0, "path", "/tmp/*"), (1, "path", "/tmp/settings")]
    role = learn([worker(str(number), items=items) for number in range(2)], "x86_64").roles[""]

    assert list(role.items) == [("path", "/tmp/*"), ("path", "/tmp/settings")]
    assert not role.knows("path", "/tmp/never-seen")


def test_threads_share_the_time_of_their_run():
    def run_of(name, roles):
        times = np.arange(120) * 1e9
        return Run(name, [Trace(np.tile([1, 2, 3], 40).astype(np.uint64), role, times=times) for role in roles])

    profile = learn([run_of(name, ["main", "worker", "worker", "worker"]) for name in "ab"], "x86_64")

    shown = profile_data(profile)["roles"]
    assert [role.seconds for role in profile.roles.values()] == [2 * 119.0] * 2
    assert shown["worker"]["calls_a_second"] == pytest.approx(3 * shown["main"]["calls_a_second"], abs=0.2)


def test_the_difference_is_what_only_one_has():
    left = learn([worker("a", items=[(0, "path", "/etc/a")]), worker("b")], "x86_64")
    right = learn([worker("c", calls=[1, 2, 3, 2, 60] * 20), worker("d", role="x")], "x86_64")

    found = difference(left, right)

    assert found["left"] == {"roles": [], "calls": [], "pairs": ["write read"], "items": ["path /etc/a"]}
    assert found["right"]["roles"] == ["x"]
    assert found["right"]["calls"] == ["execve"]
    assert sorted(found["right"]["pairs"]) == ["execve read", "write execve"]
    assert "only R: 1 calls: execve" in list(difference_lines(found, {"left": "L", "right": "R"}))
    assert list(difference_lines(difference(left, left), {"left": "L", "right": "R"})) == []


def test_a_profile_is_shown_with_how_settled_it_is(openssl):
    lines = list(profile_lines(openssl))

    assert lines[1] == f"learned from {openssl.calls} calls in 40 runs"
    assert lines[2].endswith("10,000 calls: settled")


def test_the_build_id_is_that_which_file_tells():
    program = program_of(sys.executable)
    notes = subprocess.run(["readelf", "-n", sys.executable], capture_output=True, text=True, check=True).stdout

    assert program.path == os.path.realpath(sys.executable)
    assert all(f"Build ID: {found}" in notes for found in program.build_ids)
    assert bool(program.build_ids) == ("Build ID" in notes)
    assert program_of("nginx").path == "nginx"
    assert program_of(__file__).build_ids == ()
    with pytest.raises(UsageError, match="no such executable"):
        program_of("/no/such/program")


@pytest.mark.parametrize("place", [1 << 62, (1 << 64) - 1])
def test_a_damaged_executable_has_no_build_id(tmp_path, place):
    header = bytearray(Path(sys.executable).read_bytes()[:64])
    header[32:40] = place.to_bytes(8, sys.byteorder)
    (tmp_path / "damaged").write_bytes(header)

    assert program_of(str(tmp_path / "damaged")).build_ids == ()


def test_a_busy_servers_profile_is_small(tmp_path):
    pick = np.random.default_rng(6)
    # Thirty calls in quick change: far more different sequences than a server has.
    chain = [pick.choice(40, 3, replace=False) + 1 for _ in range(41)]
    runs = []
    for number in range(20):
        calls = [1]
        for turn in pick.integers(0, 3, 20_000).tolist():
            calls.append(int(chain[calls[-1]][turn]))
        runs.append(run(f"/var/recordings/server/{number}", calls))
    profile = learn(runs, "x86_64")
    save(profile, str(tmp_path / "profile"))

    assert len(profile.roles[""].grams.keys) > 20_000
    assert os.path.getsize(tmp_path / "profile") < 2_000_000
