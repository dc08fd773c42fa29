"""Probes: on functions, instructions and USDT probes of binaries, on functions of the kernel; and why one cannot be."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from skep.base.errors import AttachError, HookMissingError, PrivilegeError, SkepError, UnsupportedError
from skep.kernel.link.binary import find_binary, open_binary
from skep.kernel.link.executable import Executable
from skep.session.run import Run
from skep.spec.targets import Targets

PROGRAMS = Path(__file__).parent.parent / "programs"
FLOOR = os.environ.get("SKEP_VM_KERNEL", "host")
# Not in a folder that is read-only under QEMU.
UNLINK = ["rm", "-f", "/tmp/skep-is-not-there"]
everywhere = pytest.mark.floors("6.12", "6.1")


@pytest.fixture(scope="session")
def probed() -> str:
    """The program of tests/programs/probed.c, which was built on the host: elsewhere is no compiler."""
    path = PROGRAMS / "probed"
    if FLOOR == "host":
        subprocess.run(["make", "-s", "tests/programs/probed"], cwd=PROGRAMS.parent.parent, check=True)
    return str(path)


def _seen(spec, command: list[str], targets: Targets) -> list[int]:
    """What the program says of each run of it that the command causes."""
    with Run(spec, command=command, stdout=2, targets=targets) as run:
        rows = [row for batch in run.batches(duration=60) for row in batch.rows()]
    assert {row.comm for row in rows} <= {os.path.basename(command[0])}
    return [row.ret for row in rows]


def _attached(spec, targets: Targets) -> None:
    with spec.load(targets=targets) as loaded, loaded.attach():
        pass


@everywhere
@pytest.mark.parametrize(
    ("program_name", "place", "seen"),
    [
        pytest.param("place", "probed_one", [1], id="a function"),
        pytest.param("place", "probed_two+1", [2], id="an instruction"),
        pytest.param("place", "probed_one+0x1", [1], id="an instruction, in hexadecimal"),
        pytest.param("place", "probed_???", [1, 2], id="a pattern"),
        pytest.param("place", "many_7*0", [700], id="a pattern of several"),
        pytest.param("place_return", "probed_two", [22], id="a return"),
        pytest.param("place_return", "probed_*o*", [11, 22], id="returns by a pattern"),
        pytest.param("uprobe_multi", "probed_*", [1, 2], id="many functions"),
        pytest.param("uprobe_multi", "probed_one+1", [1], id="one of many"),
        pytest.param("uretprobe_multi", "probed_*", [11, 22], id="many returns"),
    ],
)
def test_a_place_in_a_binary(program, probed, program_name, place, seen):
    assert _seen(program(program_name), [probed], Targets(binary=probed, function=place)) == seen
    assert _seen(program(program_name), [probed], Targets(attach={"hook": f"{probed}:{place}"})) == seen


@everywhere
@pytest.mark.parametrize(
    ("name", "place", "seen"),
    [
        pytest.param("many", "probed_*", [1, 2], id="uprobe.multi.s"),
        pytest.param("probe", "skep:plain", [101], id="usdt.s"),
    ],
)
def test_a_program_that_may_sleep(program, probed, name, place, seen):
    spec = program("sleeping")
    without = spec.programs.keys() - {name}
    with Run(spec, command=[probed], stdout=2, without=without, targets=Targets(binary=probed, function=place)) as run:
        assert [row.ret for batch in run.batches(duration=60) for row in batch.rows()] == seen


@everywhere
def test_a_program_is_loaded_for_what_it_is_attached_to(program, probed):
    one = {"hook": f"uprobe/{probed}:probed_one"}
    returns = {"hook": f"uretprobe.multi/{probed}:probed_*"}

    assert _seen(program("uprobe_multi"), [probed], Targets(attach=one)) == [1]
    assert len(_seen(program("place"), [probed], Targets(attach=returns))) == 2


@everywhere
def test_an_address_is_what_nm_prints(program, probed):
    (symbol,) = Executable(Path(probed).read_bytes(), probed).symbols("probed_two")

    assert _seen(program("place"), [probed], Targets(binary=probed, function=f"{symbol.address:#x}")) == [2]


@everywhere
def test_a_program_is_found_on_the_path(program, probed, monkeypatch):
    monkeypatch.setenv("PATH", f"/nowhere:{PROGRAMS}:{os.environ['PATH']}")

    assert _seen(program("place"), [probed], Targets(attach={"hook": "probed:probed_one"})) == [1]


@everywhere
@pytest.mark.parametrize("library", ["libc", "libc.so.6"])
def test_a_library_is_found_by_its_name(program, library):
    at_fdcwd = -100
    assert _seen(program("place"), UNLINK, Targets(attach={"hook": f"{library}:unlinkat"})) == [at_fdcwd]
    assert _seen(program("place"), UNLINK, Targets(attach={"hook": f"{library}:unlinkat@GLIBC_2.4"})) == [at_fdcwd]


def test_the_library_of_a_container_is_its_own(program, tmp_path):
    library = os.path.realpath(find_binary("libc", Targets(pid=os.getpid())))
    own = shutil.copy(library, tmp_path)
    code = "import os; print(flush=True); input(); os.getppid()"
    inside = f'mount --bind {own} {library} && exec {sys.executable} -c "{code}"'
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", inside], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        targets = Targets(pid=process.pid, attach={"hook": "libc:getppid"})
        with program("place").load(targets=targets) as loaded, loaded.attach():
            process.communicate(b"\n")
            rows = list(loaded.events(timeout=2))

    assert [row.pid for row in rows] == [process.pid]


@everywhere
def test_a_function_that_is_chosen_when_a_library_is_loaded(program, probed):
    # There is a strlen for each generation of processors.
    targets = Targets(attach={"hook": "libc:strlen"})
    with Run(program("place"), command=[probed], stdout=2, targets=targets) as run:
        assert "probed" in {row.comm for batch in run.batches(duration=60) for row in batch.rows()}


@everywhere
def test_a_thousand_matches(program, probed):
    targets = Targets(binary=probed, function="many_*")

    for name in "place", "uprobe_multi":
        if FLOOR == "6.1":
            with pytest.raises(AttachError, match=r"1000 functions fit uprobe.multi/.*too many"):
                _attached(program(name), targets)
        else:
            assert _seen(program(name), [probed], targets) == [7, 700]


@everywhere
def test_a_session_runs_at_entry_and_return(program, probed):
    targets = Targets(binary=probed, function="probed_*")
    if FLOOR == "host":
        assert len(_seen(program("uprobe_session"), [probed], targets)) == 4
    else:
        with pytest.raises(HookMissingError, match=r"this kernel has no uprobe.session"):
            _attached(program("uprobe_session"), targets)


@everywhere
@pytest.mark.parametrize(
    ("probe", "seen"),
    [
        pytest.param("skep:plain", [101], id="a probe"),
        # The program asks its semaphore whether anybody looks.
        pytest.param("skep:guarded", [201], id="a probe with a semaphore"),
    ],
)
def test_a_usdt_probe(program, probed, probe, seen):
    assert _seen(program("usdt"), [probed], Targets(binary=probed, function=probe)) == seen
    assert _seen(program("usdt"), [probed], Targets(attach={"hook": f"{probed}:{probe}"})) == seen
    assert _seen(program("usdt"), [probed], Targets(binary=probed, attach={"hook": probe})) == seen


def test_who_looks_at_the_address_of_a_probe_is_counted_by_its_semaphore(program, probed):
    (place,) = open_binary(probed).probes()["skep:guarded"]

    assert len(_seen(program("place"), [probed], Targets(binary=probed, function=f"{place.address:#x}"))) == 1


@everywhere
@pytest.mark.parametrize(
    ("program_name", "place", "seen"), [("usdt", "skep:guarded", [202]), ("place", "probed_one", [1])]
)
def test_the_binary_of_a_process_needs_no_path(program, probed, program_name, place, seen):
    with subprocess.Popen([probed, "wait"], stdin=subprocess.PIPE) as process:
        try:
            with Run(program(program_name), pids=[process.pid], targets=Targets(function=place)) as run:
                process.stdin.close()  # type: ignore[union-attr] # it is a pipe
                rows = [row for batch in run.batches(duration=60) for row in batch.rows()]
        finally:
            process.kill()

    assert [row.ret for row in rows] == seen


@everywhere
@pytest.mark.parametrize("program_name", ["place", "place_return", "uprobe_multi"])
def test_one_process_of_several(program, probed, program_name):
    processes = [subprocess.Popen([probed, "wait"], stdin=subprocess.PIPE) for _ in range(2)]
    targets = Targets(binary=probed, function="probed_one", pid=processes[0].pid)
    try:
        with program(program_name).load(targets=targets) as loaded, loaded.attach():
            for process in reversed(processes):
                process.communicate(b"\n")
            rows = list(loaded.events(timeout=2))
    finally:
        for process in processes:
            process.kill()
            process.wait()

    assert [row.pid for row in rows] == [processes[0].pid]


@everywhere
@pytest.mark.parametrize(
    ("program_name", "place"), [("place", "probed_one"), ("uprobe_multi", "probed_*"), ("usdt", "skep:plain")]
)
def test_a_process_that_has_ended(program, probed, program_name, place):
    process = subprocess.Popen([probed])
    process.wait()
    targets = Targets(binary=probed, function=place, pid=process.pid)

    with pytest.raises(AttachError, match=rf"process {process.pid} has ended"):
        _attached(program(program_name), targets)


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_ends_while_it_is_probed(program, probed, ended_by):
    with subprocess.Popen([probed, "wait"], stdin=subprocess.PIPE) as process:
        targets = Targets(binary=probed, function="probed_one", pid=process.pid)
        with program("place").load(targets=targets) as loaded, loaded.attach():
            process.send_signal(ended_by)
            process.wait()

            assert list(loaded.events(timeout=0.2)) == []


def test_attaching_twice_counts_twice_and_detaches_both(program, probed):
    targets = Targets(binary=probed, function="probed_one")
    with program("place").load(targets=targets) as loaded, loaded.attach(), loaded.attach():
        subprocess.run([probed], check=True)

        assert [row.ret for row in loaded.events(timeout=0.5)] == [1, 1]


@pytest.fixture
def bad(tmp_path, probed) -> str:
    """A folder of what is no program."""
    whole = Path(probed).read_bytes()
    for name, data in {
        "empty": b"",
        "text": b"hello",
        "script": b"#!/bin/sh -e\ntrue\n",
        "header": b"\x7fELF\2\1\1",
        "cut": whole[:4096],
        "object": whole[:16] + b"\1\0" + whole[18:],
        "core": whole[:16] + b"\4\0" + whole[18:],
    }.items():
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "unreadable").symlink_to("unreadable")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("target", "message", "remedy"),
    [
        ("/nowhere/binary:f", "there is no /nowhere/binary", "--binary PATH"),
        ("nosuchprogram:f", "there is no program and no library nosuchprogram", "--binary"),
        ("{bad}:f", "{bad} is a folder", None),
        ("{bad}/empty:f", "is not a program or library", None),
        ("{bad}/text:f", "is not a program or library", None),
        ("{bad}/script:f", "is not a program or library", "what runs is /bin/sh -e"),
        ("{bad}/header:f", "is a damaged ELF file", None),
        ("{bad}/cut:f", "is a damaged ELF file", None),
        ("{bad}/object:f", "neither a program nor a library", None),
        ("{bad}/core:f", "neither a program nor a library", None),
        ("{bad}/pipe:f", "a device or pipe", None),
        ("/dev/null:f", "a device or pipe", None),
        ("{bad}/unreadable:f", "cannot be read: Too many levels of symbolic links", None),
        ("{probed}:probed_onee", "has no function probed_onee", "Did you mean probed_one"),
        ("{probed}:far_away", "has no function far_away", None),
        ("{probed}:probed_variable", "probed_variable is a variable of {probed}, not a function", None),
        ("{probed}:strlen", "only uses strlen: it takes it from a library", "--binary LIBRARY"),
        ("{probed}:nothing_*", "no function of {probed} fits nothing_*", None),
        ("{probed}:0xffffff", "0xffffff lies outside of the code", None),
        ("{probed}:probed_one+0xffffff", "probed_one+0xffffff lies outside of the code", None),
        ("{probed}:probed_one+0999999", "probed_one+0999999 lies outside of the code", None),
        ("{probed}:\udcff", "has no function \udcff", None),
        ("{probed}:probed_one+x", "has no function probed_one+x", "Did you mean probed_one"),
        ("bash:no_such_function", "has no function no_such_function (it is stripped", "Its address will do"),
        ("libc:memcpy@GLIBC_9", "has no function memcpy@GLIBC_9", "memcpy@GLIBC_2.14"),
        ("uretprobe/{probed}:probed_one+1", "the return of a function has none", None),
        ("usdt/{probed}:skep:plane", "has no probe skep:plane", "Did you mean skep:plain?"),
        ("usdt/{probed}:other:x", "has no probe other:x", "The probes are: skep:guarded, skep:plain."),
        ("usdt/bash:skep:plain", "bash was built without USDT probes", "--binary LIBRARY"),
        ("usdt/{probed}:skep:plain", "the source does not include it", None),
    ],
)
def test_a_place_that_is_not_there_is_named(program, probed, bad, target, message, remedy):
    fill = {"probed": probed, "bad": bad}
    with pytest.raises(AttachError) as caught:
        _attached(program("place"), Targets(attach={"hook": target.format(**fill)}))

    assert message.format(**fill) in str(caught.value)
    assert caught.value.remedy is None if remedy is None else remedy in str(caught.value.remedy)


@everywhere
@pytest.mark.parametrize(
    ("targets", "runs"),
    [
        pytest.param({"function": "do_unlinkat"}, 1, id="a function"),
        pytest.param({"function": "do_unlinkat+0"}, 1, id="its first instruction"),
        pytest.param({"attach": {"hook": "kretprobe/do_unlinkat"}}, 1, id="a return"),
        pytest.param({"attach": {"hook": "ksyscall/unlinkat"}}, 1, id="a system call"),
        pytest.param({"attach": {"hook": "kretsyscall/unlinkat"}}, 1, id="the return of a system call"),
    ],
)
def test_a_function_of_the_kernel(program, targets, runs):
    try:
        assert len(_seen(program("kprobe_open"), UNLINK, Targets(**targets))) == runs
    except UnsupportedError as error:
        assert FLOOR == "host"
        pytest.skip(str(error))


@everywhere
@pytest.mark.parametrize(
    ("program_name", "stated", "seen"),
    [
        ("kprobe_multi", {}, [0]),
        ("kretprobe_multi", {}, [-2]),
        ("kprobe_session", {}, [0, 0]),
        ("kprobe_open", {"hook": "do_unlink*t"}, [0]),
        ("kprobe_open", {"hook": "kprobe.session/do_unlinkat"}, [0, 0]),
    ],
)
def test_many_functions_of_the_kernel(program, program_name, stated, seen):
    targets = Targets(attach=stated)
    if FLOOR == "6.12":
        assert _seen(program(program_name), UNLINK, targets) == seen
        return
    # Neither has CONFIG_FPROBE.
    with pytest.raises(HookMissingError, match=r"this kernel has no k\w+\.(multi|session)|no function of this kernel"):
        _attached(program(program_name), targets)


@pytest.mark.floors("6.12")
def test_the_pattern_that_fits_all_of_the_kernels_functions_of_a_kind(program):
    targets = Targets(attach={"hook": "tcp_*"})
    try:
        _attached(program("kprobe_multi"), targets)
    except HookMissingError:
        assert FLOOR == "host"
        pytest.skip("this kernel has no kprobe.multi")


@everywhere
def test_a_function_by_type(program):
    try:
        assert len(_seen(program("fentry_open"), UNLINK, Targets(function="do_unlinkat"))) == 1
    except SkepError as error:
        assert FLOOR == "host"
        pytest.skip(str(error))


@everywhere
def test_a_function_by_type_that_is_not_there(program):
    with pytest.raises(HookMissingError, match=r"this kernel has no do_unlinkatt for fentry") as caught:
        _attached(program("fentry_open"), Targets(function="do_unlinkatt"))

    assert "Did you mean do_unlinkat" in str(caught.value.remedy)


@everywhere
def test_a_program_by_type_is_on_a_function_once(program):
    try:
        with (
            program("fentry_open").load(targets=Targets(function="do_unlinkat")) as loaded,
            loaded.attach(),
            pytest.raises(AttachError, match=r"fentry/do_unlinkat is held by another: this program"),
        ):
            loaded.attach()
    except UnsupportedError as error:
        assert FLOOR == "host"
        pytest.skip(str(error))


@everywhere
def test_a_security_hook_that_would_never_run_is_refused(program, tmp_path, monkeypatch):
    # A kernel that is booted so cannot be changed: it is what it says of itself that is changed.
    (tmp_path / "lsm").write_text("lockdown,capability,yama")
    monkeypatch.setattr("skep.kernel.link.tracing._SECURITY_MODULES", str(tmp_path / "lsm"))
    with pytest.raises(SkepError) as caught:
        _attached(program("lsm"), Targets())

    if "without bpf among its security modules" not in str(caught.value):
        assert FLOOR == "host"
        pytest.skip(str(caught.value))
    assert caught.value.remedy == "Boot it with lsm=lockdown,capability,yama,bpf."


@everywhere
@pytest.mark.parametrize(
    ("target", "kind", "message", "remedy"),
    [
        ("do_unlinkatt", HookMissingError, "this kernel has no kprobe/do_unlinkatt", "Did you mean do_unlinkat"),
        ("ksyscall/unlinkatt", HookMissingError, "this kernel has no ksyscall/unlinkatt", "Did you mean unlinkat"),
        ("jiffies", AttachError, "jiffies is a variable of the kernel", None),
        ("do_unlinkat+1", AttachError, "no instruction of do_unlinkat begins 1 bytes after it", None),
        ("do_unlinkat+far", AttachError, "'far' is not a number of bytes", None),
        ("kretprobe/do_unlinkat+4", AttachError, "the return of a function has none", None),
        ("exc_int3", AttachError, "the kernel lets nobody probe exc_int3: its source says inline or notrace", None),
        ("notifier_call_chain", AttachError, "probe notifier_call_chain: probes themselves run through it", None),
    ],
)
def test_a_function_that_the_kernel_does_not_let_probe(program, target, kind, message, remedy):
    with pytest.raises(SkepError) as caught:
        _attached(program("kprobe_open"), Targets(attach={"hook": target}))

    if "no kprobes" in str(caught.value):
        assert FLOOR == "host"
        pytest.skip(str(caught.value))
    assert isinstance(caught.value, kind), caught.value
    assert message in str(caught.value)
    assert caught.value.remedy is None if remedy is None else remedy in str(caught.value.remedy)


def test_nobody_without_privileges_attaches(skep, probed, reachable):
    command = [*skep, "run", str(PROGRAMS / "place.bpf.o"), "--binary", probed, "--function", "probed_one"]
    finished = subprocess.run(
        [*reachable, "setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all", *command],
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == PrivilegeError.exit_code, finished.stderr
    assert "lacks CAP_" in finished.stderr


def test_the_words_of_the_command_line(skep, probed):
    command = [*skep, "run", str(PROGRAMS / "place.bpf.o"), "-o", "json"]
    finished = subprocess.run(
        [*command, "--binary", probed, "--function", "probed_*", "--", probed],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line.count('"ret": 1') + line.count('"ret":1') for line in finished.stdout.splitlines()] == [1, 0]

    for words, why in (
        ([], "needs a binary: --binary PATH"),
        (["--binary", probed], "a target function: --function NAME"),
    ):
        finished = subprocess.run([*command, *words, "--", probed], capture_output=True, text=True, check=False)
        assert finished.returncode == 1
        assert why in finished.stderr


def test_nothing_is_imported_for_probes_of_functions_by_name():
    """What only failures, patterns and chosen functions need costs no start."""
    script = "import sys, skep.kernel.link.uprobe, skep.kernel.link.kprobe; print(*sys.modules)"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert not {"difflib", "ctypes", "mmap"} & set(finished.stdout.split())
