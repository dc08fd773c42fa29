"""The commands of the guard on what runs: learn, watch, status, explain; started anew, killed, and not permitted."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from skep.guard.store import alone, load, save

SKEP = str(Path(sys.executable).with_name("skep"))
USUAL = "cat /etc/hostname; sleep 0.01; cat /etc/hostname"


def skep(*arguments, code=0, **options):
    done = subprocess.run(
        [SKEP, "guard", *arguments], capture_output=True, text=True, check=False, timeout=60, **options
    )
    assert done.returncode == code, done.stderr
    return done


def command(script):
    return ["--", "sh", "-c", script]


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """A shell's script, learned from six runs in two goes."""
    path = str(tmp_path_factory.mktemp("guard") / "shell.profile")
    skep("learn", path, "--runs", "3", "--as-root", *command(USUAL))
    said = skep("learn", path, "--runs", "3", "--as-root", *command(USUAL)).stderr
    assert "in 6 runs" in said
    assert said.rstrip().endswith("settled")
    return path


@pytest.fixture
def folder():
    """One that everybody may write to: pytest's own are root's."""
    path = tempfile.mkdtemp()
    os.chmod(path, 0o777)
    yield path
    shutil.rmtree(path)


def watched(profile, script, *options):
    done = skep("watch", profile, "-o", "json", "--as-root", *options, *command(script))
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_what_was_learned_is_silent_and_what_is_new_is_told_and_kept(profile, tmp_path):
    alarms, said = watched(profile, USUAL)
    assert alarms == []
    assert "nobody watched" not in said
    assert "0 reports lost, 0 tasks not watched" in said

    taken = tmp_path / "taken"
    alarms, said = watched(profile, f"{USUAL}; wc -l < {profile}; sleep 1", "--run", f"tee {shlex.quote(str(taken))}")
    assert "nobody watched for" in said
    (alarm,) = alarms
    assert json.loads(taken.read_text()) == alarm
    assert ("child", "/usr/bin/wc") in [(one["kind"], one["what"]) for one in alarm["evidence"]]

    told = skep("explain", profile.removesuffix(".profile") + "-1").stdout
    assert told.startswith("shell-1: ")
    assert "child /usr/bin/wc: once, never seen in training; usual: " in told
    assert re.search(rf"process .*sh \(\d+\) < .*\({os.getpid()}\) < ", told)
    (status,) = map(json.loads, skep("status", profile, "-o", "json").stdout.splitlines())
    assert (status["runs"], status["settled"], status["alarms"]) == (6, True, ["shell-1"])
    assert "child" in status["alarming_kinds"]


def test_a_kind_can_be_left_out_and_a_failing_command_is_told(profile):
    script = f"exec 3> {profile}.other; sleep 0.6"
    alarms, said = watched(profile, script, "--run", "false")
    assert {one["kind"] for alarm in alarms for one in alarm["evidence"]} >= {"path", "change", "arguments"}
    assert "--run" in said
    assert "ends with status 1" in said
    alarms, _ = watched(profile, script, *(f"--without={kind}" for kind in ("path", "change", "arguments")))
    assert not {one["kind"] for alarm in alarms for one in alarm["evidence"]} & {"path", "change", "arguments"}


def test_two_that_learn_one_name_at_once_lose_nothing(profile, tmp_path):
    path = str(tmp_path / "shell.profile")
    shutil.copy(profile, path)
    learned = load(path)
    with alone(path):
        words = [SKEP, "guard", "learn", path, "--runs", "2", "--as-root", *command(USUAL)]
        learning = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        assert learning.stderr is not None
        for line in learning.stderr:
            if "runs or stretches" in line:
                break
        # Who does not wait has written by then.
        time.sleep(0.5)
        save(learned + learned, path)
    _, said = learning.communicate(timeout=60)
    assert learning.returncode == 0, said
    assert load(path).runs.fused.total == 2 * learned.runs.fused.total + 2


def test_a_guard_that_was_killed_is_started_anew(profile):
    process = subprocess.Popen(["sleep", "60"])
    try:
        options = ["watch", profile, "-p", str(process.pid)]
        guard = subprocess.Popen([SKEP, "guard", *options], stderr=subprocess.PIPE, text=True)
        assert guard.stderr is not None
        for line in guard.stderr:
            if "Ctrl-C ends" in line:
                break
        began = time.monotonic()
        time.sleep(0.2)
        guard.kill()
        guard.communicate()
        said = skep(*options, "--for", "200ms").stderr
    finally:
        process.kill()
        process.wait()
    gap = re.search(r"nobody watched for (\d+) seconds", said)
    assert gap
    assert int(gap[1]) <= time.monotonic() - began + 1


def test_a_watch_of_a_process_ends_with_the_last_that_it_started(profile):
    # The shell ends at the first line; what it leaves behind, when its input does.
    script = "exec 3<&0; read line; cat <&3 & exit"
    with (
        subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, text=True) as process,
        subprocess.Popen(
            [SKEP, "guard", "watch", profile, "-p", str(process.pid)], stderr=subprocess.PIPE, text=True
        ) as guard,
    ):
        assert process.stdin is not None
        assert guard.stderr is not None
        assert any("1 of whose threads run now" in line for line in iter(guard.stderr.readline, ""))
        process.stdin.write("first\n")
        process.stdin.flush()
        process.wait()
        with pytest.raises(subprocess.TimeoutExpired):
            guard.wait(1.5)
        process.stdin.close()
        assert "skep: all that was watched has ended\n" in guard.stderr.readlines()
        assert guard.wait() == 0


def test_what_runs_is_learned_by_its_executable(profile, tmp_path):
    path = str(tmp_path / "loop.profile")
    process = subprocess.Popen(
        ["sh", "-c", "while :; do cat /etc/hostname; sleep 0.01; done"], stdout=subprocess.DEVNULL
    )
    try:
        said = skep("learn", path, "-p", str(process.pid), "--for", "1s").stderr
    finally:
        process.kill()
        process.wait()
    # How many depends on how fast they are started, and on what is lost meanwhile.
    assert int(said.rpartition("calls in ")[2].split()[0]) > 5
    items = json.loads(skep("show", path, "-o", "json").stdout)["roles"]["cat"]["items"]
    assert ("child", "/usr/bin/cat") in [(item["kind"], item["value"]) for item in items]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["watch", "no such"], "no such profile"),
        (["learn", "a", "b", "--for", "1s"], "one name"),
        (["learn", "a", "--exe", "/no/such", "--for", "1s"], "No such file"),
        (["learn", "a", "-p", str(os.getpid())], "--for 10m"),
        (["learn", "a"], "-o says where"),
        (["learn", "a", "--", "no-such-command"], "cannot be executed"),
        (["show", "a", "--", "true"], "takes no command"),
        (["watch", "a", "--"], "a command follows"),
        (["explain", "a-1"], "there is no alarm"),
        (["learn", "a", "--runs", "0", "--", "true"], "no number from 1 on"),
        (["learn", "a", "--runs", "2", "-p", str(os.getpid()), "--for", "1s"], "how often a command is run"),
        (["learn", "a", "-p", "2", "--for", "1s"], "of the kernel's own"),
    ],
)
def test_what_is_asked_wrongly_is_said(arguments, message):
    assert message in skep(*arguments, code=2).stderr


def test_another_program_is_refused_before_it_is_recorded(profile, tmp_path):
    ran = tmp_path / "ran"
    assert "differ in their program" in skep("learn", profile, "--", "touch", str(ran), code=2).stderr
    assert not ran.exists()


def test_another_build_of_the_program_is_told(tmp_path):
    program, path = tmp_path / "program", str(tmp_path / "program.profile")
    # Two programs that do the same, and are not the same.
    shutil.copy("/bin/dash", program)
    skep("learn", path, "--as-root", "--", str(program), "-c", USUAL)
    watching = ["watch", path, "--force", "--for", "0s"]
    assert "another build" not in skep(*watching, "--exe", str(program)).stderr

    with subprocess.Popen([program, "-c", "read line; exit"], stdin=subprocess.PIPE) as process:
        # An upgrade: who runs already runs what was learned.
        program.unlink()
        shutil.copy("/bin/bash", program)
        assert "another build" not in skep(*watching, "-p", str(process.pid)).stderr
        assert "another build than any that was learned from" in skep(*watching, "--exe", str(program)).stderr
        process.communicate(b"\n")
    done = skep("watch", path, "--force", "--as-root", "-o", "json", "--", str(program), "-c", f"{USUAL}; wc -l {path}")
    assert [alarm["rebuilt"] for alarm in map(json.loads, done.stdout.splitlines())][:1] == [True]


def test_a_damaged_profile_does_not_hide_the_others(profile, tmp_path):
    damaged = tmp_path / "damaged.profile"
    damaged.write_bytes(Path(profile).read_bytes()[:-100])
    log = tmp_path / "other.alarms"
    log.write_text('{"alarm": "other-1"}\n')
    other = shutil.copy(profile, tmp_path / "other.profile")
    done = skep("status", str(damaged), other, str(tmp_path / "none.profile"), profile, code=2)
    assert "damaged.profile is damaged" in done.stderr
    assert "other.alarms is damaged" in done.stderr
    assert "none.profile: no such profile" in done.stderr
    assert done.stdout.count("6 runs") == 1


def test_names_that_others_chose_do_not_act_on_a_terminal(profile, tmp_path):
    script = f'echo > "{tmp_path}/$(printf "a\\033[31mb\\nshell-9: c")"; sleep 0.5'
    said = skep("watch", profile, "--as-root", *command(script)).stdout
    (name,) = re.findall(r"^(shell-\d+): ", said, re.MULTILINE)
    said += skep("explain", os.path.join(os.path.dirname(profile), name)).stdout

    assert r"a\x1b[31mb\nshell-9: c" in said
    assert "\x1b" not in said
    assert not re.search("^shell-9", said, re.MULTILINE)


def test_in_a_container_it_says_that_it_would_see_nothing(profile):
    done = subprocess.run(
        ["unshare", "-p", "-f", "--mount-proc", SKEP, "guard", "watch", profile, "-p", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, "in a container" in done.stderr) == (3, True), done.stderr


def test_who_may_not_is_told_so(profile, reachable, folder):
    copy = shutil.copy(profile, folder)
    os.chmod(copy, 0o644)
    setpriv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
    done = subprocess.run(
        [*reachable, *setpriv, SKEP, "guard", "watch", copy, "-p", "1"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_CACHE_HOME": folder},
    )
    assert done.returncode == 3, done.stderr
    assert "CAP_" in done.stderr or "permitted" in done.stderr
