"""What goes wrong on a live system: each failure says what it is and what to do, and has its exit code."""

from __future__ import annotations

import glob
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest

from skep.base.errors import LoadError, UnsupportedError, UsageError, VerifierError
from skep.kernel.features import tracefs
from skep.spec.objectspec import NO_PROGRAM


def _run(skep, *arguments, **options):
    return subprocess.run(
        [*skep, "run", *arguments], capture_output=True, text=True, check=False, timeout=60, **options
    )


@pytest.mark.floors("6.12", "6.1")
def test_a_rejected_program_is_explained_in_its_own_source(program):
    with pytest.raises(VerifierError) as caught:
        program("rejected").load()

    found = caught.value.diagnostic
    assert found is not None
    assert found.id == "null-pointer"
    assert "`count` may be NULL" in found.message
    assert "*count += 1;" in str(found.source)
    assert any("R0 invalid mem access 'map_value_or_null'" in detail for detail in found.details)
    assert "processed" in caught.value.log
    # Before 6.9 the log does not say it, and the object does.
    assert str(found.file).endswith("rejected.bpf.c")
    assert found.line == 18


def test_a_rejected_program_is_explained_where_few_descriptors_are_left(program):
    spec = program("rejected")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = len(os.listdir("/proc/self/fd")) + len(spec.maps) + len(spec.programs) + 3
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
    try:
        with pytest.raises(VerifierError, match="may be NULL"):
            spec.load()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_privileges_the_missing_capabilities_are_named(skep):
    # Root without capabilities is not more than anybody else, and can read this folder wherever it lies.
    command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", *skep, "run", "opensnoop"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert finished.returncode == 3, finished.stderr
    assert "CAP_BPF" in finished.stderr
    assert "sudo" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_without_btf_the_remedy_is_named(skep, tmp_path):
    # An empty folder over /sys/kernel/btf, in a mount namespace of its own.
    source = tmp_path / "x.bpf.c"
    source.write_text('#include "vmlinux.h"\n')
    script = 'mount --bind "$0" /sys/kernel/btf && exec "$@"'
    empty = tmp_path / "empty"
    empty.mkdir()
    command = ["unshare", "--mount", "sh", "-c", script, str(empty), *skep, "run"]

    # opensnoop needs none; exitsnoop, built already, needs it to be loaded.
    for what in (str(source), "exitsnoop"):
        finished = subprocess.run(
            [*command, what, "--system", "--", "true"], capture_output=True, text=True, timeout=60, check=False
        )

        assert finished.returncode == 3, finished.stderr
        assert "no BTF" in finished.stderr
        assert "--btf" in finished.stderr


def test_a_btf_file_that_is_not_there(skep, tmp_path):
    source = tmp_path / "x.bpf.c"
    source.write_text('#include "vmlinux.h"\n')
    finished = _run(skep, str(source), "--btf", "/nowhere.btf")

    assert finished.returncode == 3
    assert "/nowhere.btf" in finished.stderr


def test_c_that_does_not_compile_gives_clangs_message(skep, tmp_path):
    source = tmp_path / "broken.bpf.c"
    source.write_text('#include "vmlinux.h"\n\nint broken = nothing;\n')
    finished = _run(skep, str(source))

    assert finished.returncode == 1
    assert f"{source}:3:14: use of undeclared identifier 'nothing' [compile]" in finished.stderr
    assert "     3 | int broken = nothing;\n       |              ^\n" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["nowhere.bpf.c"], 2, "no file and no tool nowhere.bpf.c", id="no such file"),
        pytest.param(["opensnop"], 2, "Did you mean opensnoop?", id="no such tool"),
        pytest.param(
            ["hello", "--", "/no/such/command"],
            2,
            "'/no/such/command' cannot be executed: No such file",
            id="no such command",
        ),
        pytest.param(
            ["hello", "--", "/dev/null"], 2, "'/dev/null' cannot be executed: Permission denied", id="not executable"
        ),
        pytest.param(["hello", "--", "nosuchcommand"], 2, "it is in no folder of PATH", id="no such name"),
        pytest.param(["hello", "--", ""], 2, "cannot be executed", id="an empty command"),
        pytest.param(["hello", "--"], 2, "after -- a command", id="no command"),
        pytest.param(["hello", "-p", "99999999999"], 2, "no number from 1", id="a process id out of range"),
        pytest.param(["hello", "--pid-filtre", "1"], 2, "Did you mean --pid-filter?", id="no such option"),
        pytest.param(["hello", "--pid-filter", "abc"], 2, "takes a number", id="an option of the wrong type"),
        pytest.param(["hello", "--pid-filter", "99999999999"], 2, "2147483647", id="an option out of range"),
        pytest.param(["--pid-filter", "1", "hello"], 2, "stands before SOURCE", id="an option too early"),
        pytest.param(["hello", "--set", "nothing=1"], 2, "no such variable", id="no such variable"),
        pytest.param(["hello", "--set", "pid_filter"], 2, "it takes NAME=VALUE", id="no value"),
        pytest.param(["opensnoop", "--map", "nothing.max_entries=1"], 2, "no such map", id="no such map"),
        pytest.param(["opensnoop", "--map", "events.size=1"], 2, "max_entries=N", id="no such size"),
        pytest.param(["opensnoop", "--map", "events.max_entries=0"], 2, "from 1 to", id="a map of nothing"),
        pytest.param(["hello", "--with", "helo"], 2, "there is no program helo", id="no such program"),
        pytest.param(["hello", "--duration", "soon"], 2, "no span of time", id="no duration"),
        pytest.param([], 2, "SOURCE is missing", id="no source"),
    ],
)
def test_a_wrong_request_has_exit_code_2_and_a_remedy(skep, arguments, code, message):
    finished = _run(skep, *arguments)

    assert finished.returncode == code, finished.stderr
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_source_without_a_program_says_what_makes_one(skep, tmp_path):
    source = tmp_path / "idle.bpf.c"
    source.write_text('#include "vmlinux.h"\nint idle(void *ctx) { return 0; }\n')
    finished = _run(skep, str(source))

    assert finished.returncode == 1
    assert finished.stderr == f"skep: idle cannot be run: {NO_PROGRAM}\n"


def test_a_map_that_is_too_large_is_explained(program):
    # More than 2 ** 31 entries are refused before any memory is asked for.
    with pytest.raises(LoadError, match="map counts of 4294967295 entries cannot be created") as caught:
        program("sizes").load(sizes={"counts": (1 << 32) - 1})

    assert caught.value.remedy == "Ask for fewer: --map counts.max_entries=N."


def test_a_map_whose_size_only_the_user_knows_is_asked_for(program):
    with pytest.raises(UsageError, match="leaves open how many entries slots has") as caught:
        program("sizeless").load()

    assert "--map slots.max_entries=N" in str(caught.value.remedy)
    with program("sizeless").load(sizes={"slots": 3}) as loaded:
        assert loaded.maps["slots"].max_entries == 3


def test_a_map_of_whose_entries_the_source_leaves_something_open_is_told(program):
    with pytest.raises(UsageError, match="map hashes cannot be made: the source leaves open how large its keys are"):
        program("shapeless").load()


def test_a_variable_that_this_kernel_lacks_is_named(program):
    with pytest.raises(UnsupportedError, match="this kernel has no variable skep_absent, which the kernel file reads"):
        program("absent").load()


@pytest.mark.floors("6.12", "6.1")
def test_maps_that_a_source_leaves_open_are_made(program):
    with program("defaults").load() as loaded:
        sizes = {name: map_.max_entries for name, map_ in loaded.maps.items()}

    assert sizes.pop("task_storage") == 0
    assert sizes.pop("cgroup_array") == 1
    assert sizes.pop("user_ringbuf") == 262144
    assert set(sizes.values()) == {10240}


def test_a_map_that_takes_no_size(program):
    with pytest.raises(UsageError, match="task_storage takes no size"):
        program("defaults").load(sizes={"task_storage": 7})


def test_damaged_objects_never_crash(skep, program, tmp_path):
    # Its filter is "process 0" by default: a damaged one that still loads and attaches sends nothing.
    data = program("burst").data
    choose = random.Random(2)
    for number in range(40):
        damaged = bytearray(data[: choose.randrange(len(data))] if number % 2 else data)
        for _ in range(choose.randrange(1, 20)):
            if damaged:
                damaged[choose.randrange(len(damaged))] = choose.randrange(256)
        path = tmp_path / "damaged.bpf.o"
        path.write_bytes(damaged)
        finished = _run(skep, str(path), "--duration", "1ms", "-q")

        assert finished.returncode in {0, 1, 3}, (number, finished.returncode, finished.stderr)
        assert "Traceback" not in finished.stderr, finished.stderr


def _attached_by_skep():
    """The trace instances of skep, and the processes that run it."""
    return [name for name in os.listdir(f"{tracefs()}/instances") if name.startswith("skep-")]


def _commands(line):
    """The processes that run a command."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path) as file:
                if file.read().rstrip("\0").replace("\0", " ") == line:
                    found.append(path)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_is_a_normal_end_with_a_summary(skep, number):
    process = subprocess.Popen(
        [*skep, "run", "hello", "--pid-filter", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "attached" in process.stderr.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "0 events" in errors


def test_a_signal_at_any_moment_leaves_nothing_behind(skep):
    choose = random.Random(1)
    # Of this test alone: others may sleep on this machine, too.
    sleep = ["sleep", f"60.{os.getpid()}"]
    for _ in range(25):
        process = subprocess.Popen(
            [*skep, "run", "hello", "--", *sleep],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        time.sleep(choose.random() * 0.2)
        # As a terminal does: to skep and to its command.
        os.killpg(process.pid, signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=30)
        except subprocess.TimeoutExpired as late:
            # Python itself may lose it while it starts: it raises the exception where it ignores them.
            if b"Exception ignored" not in (late.stderr or b""):
                raise
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=30)

        # Before skep catches the signal Python ends in its own ways: with 130, or with 1 while it starts.
        while_python_starts = "KeyboardInterrupt" in errors or errors.startswith("Fatal Python error: init")
        assert process.returncode in {0, 130, -signal.SIGINT} or while_python_starts, errors
        assert _attached_by_skep() == []
        assert _commands(" ".join(sleep)) == []


def test_what_a_killed_run_left_is_removed_by_the_next(skep):
    process = subprocess.Popen(
        [*skep, "run", "hello", "--pid-filter", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    process.stderr.readline()
    assert len(_attached_by_skep()) == 1
    process.kill()
    process.communicate()
    assert len(_attached_by_skep()) == 1

    assert _run(skep, "hello", "--pid-filter", "1", "--duration", "1ms").returncode == 0
    assert _attached_by_skep() == []


@pytest.mark.parametrize(
    ("handler", "ends"),
    [
        pytest.param("lambda *_: (time.sleep(0.3), sys.exit(7))", "exited with 7", id="by itself"),
        pytest.param("signal.SIG_IGN", "was ended by signal 15", id="with SIGTERM, two seconds later"),
    ],
)
def test_after_ctrl_c_the_command_may_end_by_itself(skep, handler, ends):
    script = f"import signal, sys, time; signal.signal(signal.SIGINT, {handler}); time.sleep(60)"
    process = subprocess.Popen(
        [*skep, "run", "hello", "--", sys.executable, "-c", script],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    process.stderr.readline()
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 0
    assert ends in errors


def test_a_command_is_ended_with_the_run(skep):
    finished = _run(skep, "hello", "--duration", "0.2", "--", "sleep", "60")

    assert finished.returncode == 0
    assert "sleep was ended by signal 15" in finished.stderr
    assert "still running" not in finished.stderr


def test_a_command_gets_the_signals_that_it_would_have_alone(skep):
    show = "grep -h SigIgn /proc/self/status"
    alone = subprocess.run(["sh", "-c", show], capture_output=True, text=True, check=True)
    traced = _run(skep, "hello", "-q", "--", "sh", "-c", show)

    assert traced.stderr == alone.stdout


def test_a_closed_object_is_not_attached(program):
    loaded = program("burst").load()
    loaded.close()

    with pytest.raises(ValueError, match="is closed"):
        loaded.attach()


def test_a_full_disk_is_an_error_of_one_line(skep):
    with open("/dev/full", "w") as full:
        finished = subprocess.run(
            [*skep, "run", "hello", "-q", "--", "sh", "-c", "echo x"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )

    assert finished.returncode == 1
    assert finished.stderr == "x\nskep: No space left on device\n"


def test_bytes_of_any_kind_are_shown_in_any_locale(skep, tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff\xc3\xbc\x1b[2J"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    finished = subprocess.run(
        [*skep, "run", "opensnoop", "--failed-only", "-q", "--", "cat", name],
        capture_output=True,
        check=False,
        env=environment,
        timeout=60,
    )

    assert finished.returncode == 0
    assert rb"/\xff\xfc\x1b[2J" in finished.stdout
    assert b"\x1b" not in finished.stdout


def test_a_closed_pipe_is_a_normal_end(skep):
    command = " ".join(skep)
    script = f"{command} run opensnoop -o json -- sh -c 'while :; do cat /etc/hostname; done' 2>/dev/null | head -n 1"
    finished = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, timeout=60)

    assert finished.stdout.count("\n") == 1
