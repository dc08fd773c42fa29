"""What goes wrong with tools through no fault of theirs: they say what it is, or go on and count what they left out."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from skep.base.errors import AttachError, HookMissingError, UsageError
from skep.session import api
from skep.session.run import Run
from skep.spec.targets import Targets

PYTHON = [sys.executable, "-S", "-c"]
STAND_IN = Path(__file__).parent.parent / "programs" / "stand_in.c"


@pytest.fixture(scope="module")
def binaries(tmp_path_factory) -> dict[str, str]:
    """Programs: one that has what tools probe, one that has none of it, and the same without any names."""
    folder = tmp_path_factory.mktemp("binaries")
    found = {name: str(folder / name) for name in ("stand_in", "plain", "stripped")}
    (folder / "plain.c").write_text("int main(void) { return 0; }")
    subprocess.run(["cc", "-O1", "-no-pie", "-o", found["stand_in"], STAND_IN], check=True)
    subprocess.run(["cc", "-o", found["plain"], folder / "plain.c"], check=True)
    subprocess.run(["cc", "-s", "-o", found["stripped"], folder / "plain.c"], check=True)
    return found


# Processes that are not there.


def test_a_process_that_a_variable_asks_for_and_that_is_not_there_is_told(skep):
    gone = subprocess.Popen(["true"])
    gone.wait()

    for pid, told in ((gone.pid, True), (1, False)):
        command = [*skep, "run", "opensnoop", "--pid-target", str(pid), "--", "true"]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert (f"skep: pid_target: there is no process or thread {pid}\n" in finished.stderr) == told


def test_a_process_that_has_ended_is_told_and_so_is_a_thread():
    ended, release = os.fork(), threading.Event()
    if not ended:
        os._exit(0)
    os.waitid(os.P_PID, ended, os.WEXITED | os.WNOWAIT)
    thread = threading.Thread(target=release.wait)
    thread.start()
    spec = api.read_spec("opensnoop")

    with pytest.raises(UsageError, match=f"^process {ended} has ended$"), Run(spec, pids=[ended]):
        pass
    os.waitpid(ended, 0)
    with pytest.raises(UsageError, match=f"^there is no process {ended}$"), Run(spec, pids=[ended]):
        pass
    with pytest.raises(UsageError, match="is a thread, not a process") as caught:
        Run(spec, pids=[thread.native_id or 0]).__enter__()
    assert caught.value.remedy == f"Its process: -p {os.getpid()}"
    release.set()
    thread.join()


# Binaries that lack what is to be probed.

PROBING = [
    ("bashreadline", None, "has no function readline"),
    ("funcdepth", "nothing_*", "no function of .* fits nothing_"),
    ("funcdepth", "nothing", "has no function nothing"),
    ("sslsniff", None, "has no function SSL_read"),
    ("strlencount", None, "has no function strlen"),
]


@pytest.mark.parametrize(("name", "function", "message"), PROBING)
@pytest.mark.parametrize("kind", ["plain", "stripped"])
def test_a_binary_without_what_is_probed_is_told(name, function, message, kind, binaries):
    binary = binaries[kind]
    targets = Targets(binary=binary, function=function)

    with pytest.raises(AttachError, match=message) as caught:
        Run(api.read_spec(name), command=["true"], targets=targets).__enter__()

    assert binary in caught.value.message
    assert ("it is stripped" in caught.value.message) == (kind == "stripped")


@pytest.mark.parametrize(("name", "probe"), [("httpusdt", "http:request"), ("javagc", None)])
def test_a_binary_without_usdt_probes_is_told(name, probe, binaries):
    with pytest.raises(AttachError, match=f"{binaries['plain']} was built without USDT probes") as caught:
        Run(
            api.read_spec(name), command=["true"], targets=Targets(binary=binaries["plain"], function=probe)
        ).__enter__()

    assert "--binary LIBRARY" in str(caught.value.remedy)


@pytest.mark.parametrize("name", ["callcount", "callcount-percpu"])
def test_a_function_to_count_that_is_not_there_is_told(name, binaries):
    targets = Targets(attach={"count": f"uprobe/{binaries['plain']}:nothing"})

    with pytest.raises(AttachError, match=f"{binaries['plain']} has no function nothing"):
        Run(api.read_spec(name), command=["true"], targets=targets).__enter__()


def test_a_usdt_probe_that_is_not_there_is_told(binaries):
    targets = Targets(binary=binaries["stand_in"], function="http:requests")

    with pytest.raises(AttachError, match="http:requests") as caught:
        Run(api.read_spec("httpusdt"), command=["true"], targets=targets).__enter__()

    assert "http:request" in str(caught.value.remedy)


def test_functions_to_probe_have_to_be_named(binaries):
    for targets, needs in ((Targets(binary=binaries["plain"]), "--function NAME"), (Targets(), "--binary PATH")):
        with pytest.raises(AttachError, match=f"program entered .*: needs .*: {needs}"):
            Run(api.read_spec("funcdepth"), command=["true"], targets=targets).__enter__()


# Kernels that lack hooks: of an object, the names of its hooks are changed to some that no kernel has.


def without_hooks(name: str, folder: Path, kinds: tuple[str, ...]) -> api.Spec:
    """A tool that asks for hooks that no kernel has.

    Args:
        name: of the tool.
        folder: where its object goes.
        kinds: of the hooks that are changed.
    """
    data = Path(api.tool_folder(name), f"{name}.bpf.o").read_bytes()
    for program in api.read_spec(name).programs.values():
        section = program.section.encode()
        # Not its end: what programs are called may share that.
        if program.hook.kind in kinds:
            place = section.rindex(b"/") + 1
            data = data.replace(section, section[:place] + b"~" + section[place + 1 :])
    changed = folder / f"{name}.bpf.o"
    changed.write_bytes(data)
    return api.open(str(changed))


KERNEL = ("tp", "tp_btf", "raw_tp", "fentry", "fexit", "kprobe", "kretprobe", "lsm")
# By their sources: reading objects takes a guest seconds.
ON_KERNEL = [
    name
    for name in api.tool_names()
    if set(re.findall(r'^SEC\("([\w.]+)', Path(api.tool_folder(name), f"{name}.bpf.c").read_text(), re.MULTILINE))
    <= {*KERNEL}
]


@pytest.mark.parametrize("name", ON_KERNEL)
def test_a_kernel_without_the_hooks_refuses_in_so_many_words(name, tmp_path, bpffs):
    spec = without_hooks(name, tmp_path, KERNEL)

    with pytest.raises(HookMissingError, match="this kernel") as caught:
        Run(spec, command=["true"], pin_root=str(bpffs)).__enter__()

    assert any(program in caught.value.message for program in spec.programs)


@pytest.mark.parametrize("name", ["offcputime", "runqlat", "runqslower"])
def test_a_kernel_without_typed_tracepoints_has_raw_ones(name, tmp_path):
    spec = without_hooks(name, tmp_path, ("tp_btf",))

    with Run(spec, command=["true"]) as run:
        assert {spec.programs[program].hook.kind for program in run.attached} == {"raw_tp"}
        assert len(run.attached) == len(spec.programs) // 2
        assert all("~" in why or "in favour of" in why for why in run.not_attached.values())


# More keys than a map has room for.

SLEEPERS = (
    "import threading, time; all = [threading.Thread(target=time.sleep, args=(0.2,)) for _ in range(4)]\n"
    "for thread in all: thread.start()\nfor thread in all: thread.join()"
)
BUSY = "import os, time\nwhile time.process_time() < 0.2: os.stat('/')"
OPENERS = "mkfifo pipe; cat pipe & sleep 0.1; cat /dev/null; : > pipe; wait"
ABOVE = [
    pytest.param("opensnoop", "requests", ["sh", "-c", OPENERS], {}, id="opensnoop"),
    pytest.param("syscalls", "calls", [*PYTHON, SLEEPERS], {}, id="syscalls"),
    pytest.param("syscalls", "counts", [*PYTHON, SLEEPERS], {"counts_only": True}, id="syscalls-counts"),
    pytest.param("bootstrap", "starts", ["sh", "-c", "/bin/true; exit 0"], {}, id="bootstrap"),
    pytest.param("offcputime", "sleeps", [*PYTHON, SLEEPERS], {}, id="offcputime"),
    pytest.param("runqlat", "waits", [*PYTHON, SLEEPERS], {"per_thread": True}, id="runqlat"),
    pytest.param("taskswitch", "switches", [*PYTHON, SLEEPERS], {}, id="taskswitch"),
    pytest.param("profile", "counts", [*PYTHON, BUSY], {}, id="profile"),
]


@pytest.mark.parametrize(("name", "table", "command", "variables"), ABOVE)
def test_what_a_map_has_no_room_for_is_counted(name, table, command, variables, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = api.read_spec(name)
    for variable, value in variables.items():
        spec.variables[variable].value = value

    with Run(spec, command=command, stdout=2, sizes={table: 1}) as run:
        for _ in run.batches(duration=60):
            pass
        summary = run.summary()

    assert summary.lost
    assert summary.command is not None
    assert summary.command[1] == 0


def test_threads_that_found_no_room_are_counted():
    targets = Targets(binary="libc", function="clock_nanosleep")

    with Run(api.read_spec("funcdepth"), command=[*PYTHON, SLEEPERS], sizes={"threads": 1}, targets=targets) as run:
        rows = [row for batch in run.batches(duration=60) for row in batch.rows()]
        assert run.summary().lost

    # The one that there was room for.
    assert {row.depth for row in rows} == {1}


def test_texts_that_found_no_room_are_told_at_the_end_and_the_others_come_in_order(skep):
    script = "import ctypes; length = ctypes.CDLL(None).strlen; [length(b'of ' * (n % 3)) for n in range(20)]"
    command = [*skep, "run", "strlencount", "--map", "texts.max_entries=40", "--sort", "-value", "--", *PYTHON, script]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert re.search(r"^skep: 0 events, [1-9]\d* lost$", finished.stderr, re.MULTILINE)
    counts = [int(line.split()[-1]) for line in finished.stdout.splitlines()[1:]]
    assert len(counts) == 40
    assert counts == sorted(counts, reverse=True)


# Names as long as they can be: NAME_MAX and PATH_MAX of include/uapi/linux/limits.h, without the NUL.

NAME, PATH = "n" * 255, "./" * 1920 + "n" * 255
LONG = [("opensnoop", "filename", 255), ("behaviour", "path", 255), ("tailcalls", "text", 127)]


@pytest.mark.parametrize(("name", "field", "size"), LONG)
def test_the_longest_names_are_shown_as_far_as_there_is_room(name, field, size, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).touch()
    assert len(PATH) == 4095

    events = run(name, "--", "cat", NAME, PATH)

    assert [event[field] for event in events if event[field][:2] in {"nn", "./"}] == [NAME[:size], PATH[:size]]


@pytest.mark.parametrize(("name", "field", "size"), [("bootstrap", "filename", 255), ("execsnoop", "arguments", 4095)])
def test_the_longest_names_of_programs_are_shown_as_far_as_there_is_room(name, field, size, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).symlink_to("/bin/true")

    events = run(name, "--", "sh", "-c", f"./{NAME}; {PATH}; exit 0")

    shown = [event[field] for event in events if event[field].startswith("./")]
    assert shown == [f"./{NAME}"[:size], PATH[:size]]


# Tasks that end between the two hooks of a call, and others that get their ids.


def started_as(tid: int, command: list[str]) -> int:
    """Starts a command whose process id is that one: clone3(2) with set_tid, include/uapi/linux/sched.h."""
    wanted = ctypes.c_int(tid)
    arguments = struct.pack("10Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(wanted), 1)
    library = ctypes.CDLL(None, use_errno=True)
    end = time.monotonic() + 20
    while (pid := int(library.syscall(435, arguments, len(arguments)))) < 0:
        # Whoever had it may be on the way out yet.
        assert ctypes.get_errno() == errno.EEXIST
        assert time.monotonic() < end
        time.sleep(0.01)
    if not pid:
        os.execv(command[0], command)
    return pid


@pytest.mark.parametrize(("name", "calls"), [("javagc", "gc"), ("sslsniff", "tls")])
def test_what_a_thread_leaves_behind_is_not_for_whoever_gets_its_id(name, calls, binaries):
    stand_in = binaries["stand_in"]
    spec = api.read_spec(name)
    left = subprocess.Popen([stand_in, "leave", calls], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert left.stdin is not None
    assert left.stdout is not None
    spec.variables["pid_target"].value = left.pid

    with Run(spec, targets=Targets(binary=stand_in)) as run:
        # A thread of it goes half-way through a call, ends, and tells its id.
        left.stdin.write("\n")
        left.stdin.flush()
        tid = int(left.stdout.readline())
        assert os.waitstatus_to_exitcode(os.waitpid(started_as(tid, [stand_in, "call", calls]), 0)[1]) == 0
        left.communicate("\n", timeout=60)
        rows = [row for batch in run.batches(duration=0.2) for row in batch.rows()]
        assert run.summary().runs

    # The process itself went on to a whole call.
    assert [row.pid for row in rows] == [left.pid]


# Ends its first thread, and is the same process.
FROM_A_THREAD = "import os, threading; threading.Thread(target=os.execv, args=('/bin/true', ['true'])).start()"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("exitsnoop", ["true"]), ("bootstrap", [os.path.basename(sys.executable)[:15], "true", "true"])],
)
def test_a_process_of_which_a_thread_executes_a_program_has_not_ended(name, shown, run):
    events = run(name, "--", *PYTHON, f"{FROM_A_THREAD}; threading.Event().wait()")

    assert [event["comm"] for event in events] == shown
    assert len({event["pid"] for event in events}) == 1


def test_an_open_that_is_broken_off_is_shown_and_leaves_nothing_behind(run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    # The second waits for nobody; nothing of the first is left.
    script = "cat pipe & sleep 0.2; kill -KILL $!; wait $!; : <> pipe"

    events = run("opensnoop", "--", "sh", "-c", f"cd {tmp_path}; {script}")

    shown = [(event["comm"], event["ret"] < 0) for event in events if event["filename"] == "pipe"]
    assert shown == [("cat", True), ("sh", False)]
