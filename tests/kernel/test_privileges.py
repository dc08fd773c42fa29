"""With capabilities instead of root, what is given up once all is attached, and what root does not run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from skep.kernel.attempts import KINDS
from skep.kernel.doctor import needed_for
from skep.kernel.features import perf_paranoid
from skep.kernel.privileges import NUMBERS

# On the oldest kernel and, here, on the newest one.
pytestmark = pytest.mark.floors("6.1")

PROGRAMS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "programs")
NOBODY = 65534
LOADING = ("CAP_BPF", "CAP_PERFMON")
# Debian's kernels keep events from CAP_PERFMON.
EVENTS = ["CAP_SYS_ADMIN"] if perf_paranoid() > 2 else []


@pytest.fixture
def folder():
    """One that nobody can reach, and owns: pytest's own are root's."""
    path = tempfile.mkdtemp()
    os.chown(path, NOBODY, NOBODY)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def unprivileged(folder, reachable):
    """Runs a command as nobody, with these capabilities and no others."""

    def run(*command, capabilities=LOADING):
        names = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in capabilities)
        prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        if names:
            prefix += [f"--inh-caps={names}", f"--ambient-caps={names}"]
        return subprocess.run(
            [*reachable, *prefix, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd="/",
            env={**os.environ, "XDG_CACHE_HOME": folder},
        )

    return run


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("raw_tracepoint", []),
        ("tp_btf", []),
        ("tracepoint", ["CAP_DAC_READ_SEARCH", *EVENTS]),
        ("uprobe", ["CAP_SYS_ADMIN"]),
        ("kprobe", EVENTS),
        ("fentry", []),
    ],
)
def test_a_hook_works_with_its_capabilities_instead_of_root(skep, unprivileged, name, more):
    command = [*skep, "run", f"{PROGRAMS}/{name}.bpf.o", "-o", "json", "--", "rm", "-f", "/nowhere"]
    finished = unprivileged(*command, capabilities=[*LOADING, *more])

    if finished.returncode == 3 and ("this kernel has no" in finished.stderr or "takes no" in finished.stderr):
        pytest.skip(finished.stderr)
    assert finished.returncode == 0, finished.stderr
    assert [json.loads(line)["comm"] for line in finished.stdout.splitlines()] == ["rm"]
    # Counting the runs of programs is CAP_SYS_ADMIN's.
    assert ("runs: hook" in finished.stderr) == ("CAP_SYS_ADMIN" in more)


@pytest.mark.parametrize(
    ("source", "capabilities", "lacks", "remedy"),
    [
        pytest.param("hello", [], "CAP_BPF, CAP_PERFMON", "sudo skep", id="nothing"),
        pytest.param("opensnoop", ["CAP_BPF"], "CAP_PERFMON", "sudo skep", id="half"),
        pytest.param("hello", LOADING, "CAP_DAC_OVERRIDE", "ring buffer", id="printk"),
        pytest.param("opensnoop", LOADING, "CAP_DAC_READ_SEARCH", "remount,mode=750,gid=", id="tp"),
    ],
)
def test_what_is_lacking_is_named(skep, unprivileged, source, capabilities, lacks, remedy):
    finished = unprivileged(*skep, "run", source, "--system", "--duration", "1ms", capabilities=capabilities)

    assert finished.returncode == 3, finished.stderr
    assert f"lacks {lacks}" in finished.stderr
    assert remedy in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_uprobe_works_or_names_what_it_lacks(skep, unprivileged):
    """Since 6.16, and in stable kernels of 2025, perf's uprobes are CAP_SYS_ADMIN's."""
    finished = unprivileged(*skep, "run", f"{PROGRAMS}/uprobe.bpf.o", "-q", "--", "rm", "-f", "/nowhere")

    if finished.returncode:
        assert finished.returncode == 3, finished.stderr
        assert "lacks CAP_SYS_ADMIN" in finished.stderr
        assert ("perf_event_paranoid=2" if EVENTS else "uprobe.multi") in finished.stderr


def test_what_each_kind_needs_is_enough(unprivileged):
    """The table of `skep doctor` holds against this kernel, for whatever of it root can use."""
    script = (
        "import sys, os\n"
        "from skep.kernel.attempts import attempt\n"
        "for kind in sys.argv[1:]:\n"
        "    try:\n"
        "        [os.close(fd) for fd in attempt(kind)]\n"
        "        print(kind)\n"
        "    except OSError as error:\n"
        "        print(kind, error, file=sys.stderr)\n"
    )
    attempts = [sys.executable, "-c", script]
    usable = subprocess.run([*attempts, *KINDS], capture_output=True, text=True, check=True).stdout.splitlines()
    groups: dict[tuple[str, ...], list[str]] = {}
    for kind in usable:
        groups.setdefault(tuple(needed_for(kind)), []).append(kind)

    assert {"tp", "raw_tp", "tp_btf", "uprobe", "xdp", "bpf_printk"} <= set(usable)
    for needed, kinds in groups.items():
        finished = unprivileged(*attempts, *kinds, capabilities=needed)

        assert finished.stdout.splitlines() == kinds, finished.stderr


def test_a_command_has_nothing_of_what_was_given_to_skep(skep, unprivileged):
    finished = unprivileged(
        *skep, "run", f"{PROGRAMS}/tp_btf.bpf.o", "-q", "--", "grep", "^Cap[IPEA]", "/proc/self/status"
    )

    assert finished.returncode == 0, finished.stderr
    assert [int(line.split()[1], 16) for line in finished.stderr.splitlines()] == [0] * 4


# hello reads a trace instance, which is root's.
@pytest.mark.parametrize("source", ["opensnoop", "hello"])
def test_once_all_is_attached_the_other_capabilities_are_gone(skep, source):
    """The command looks at skep, its parent; the fixtures see that all is taken away at the end."""
    show = "grep -E 'CapPrm|CapEff|NoNewPrivs' /proc/$PPID/status"
    finished = subprocess.run(
        [*skep, "run", source, "-q", "--", "sh", "-c", show], capture_output=True, text=True, check=True, timeout=60
    )
    found = dict(line.split(":\t") for line in finished.stderr.splitlines())
    kept = sum(1 << NUMBERS[name] for name in ("CAP_BPF", "CAP_DAC_READ_SEARCH", "CAP_KILL"))

    assert int(found["CapPrm"], 16) == int(found["CapEff"], 16) == kept
    assert found["NoNewPrivs"] == "1"


def test_a_trace_instance_of_nobody_is_removed(skep, unprivileged):
    finished = unprivileged(
        *skep, "run", "hello", "-o", "json", "--", "echo", "x", capabilities=[*LOADING, "CAP_DAC_OVERRIDE", *EVENTS]
    )

    assert finished.returncode == 0, finished.stderr
    assert "write by process" in finished.stdout


def test_a_filter_of_an_interface_is_taken_away(skep):
    """In a network namespace of its own: what is left of it there would stay."""
    script = '"$@" >&2; tc filter show dev lo ingress'
    run = [*skep, "run", "tcingress", "--iface", "lo", "--duration", "0.1"]
    command = ["unshare", "--net", "sh", "-c", f"ip link set lo up; {script}", "sh", *run]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert "1 program attached" in finished.stderr
    assert finished.stdout == ""


def test_a_command_that_has_become_another_user_is_ended(skep):
    command = ["setpriv", f"--reuid={NOBODY}", "--clear-groups", "sleep", "60"]
    finished = subprocess.run(
        [*skep, "run", "opensnoop", "--duration", "0.5", "--", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert finished.returncode == 0, finished.stderr
    assert "was ended by signal 15" in finished.stderr


def test_a_run_from_python_leaves_the_process_its_capabilities(program):
    from skep.kernel.privileges import capabilities
    from skep.session.run import Run

    before = capabilities()
    with Run(program("tp_btf"), command=["true"], stdout=2) as run:
        list(run.batches(duration=60))

    assert capabilities() == before


@pytest.mark.parametrize(
    ("owner", "mode", "of_folder", "says"),
    [
        pytest.param(0, 0o646, 0o755, "every user may write to it", id="world-writable"),
        pytest.param(0, 0o644, 0o777, "every user may replace it", id="in a folder that is"),
        pytest.param(NOBODY, 0o644, 0o1777, "of user 65534, in a folder where every user", id="another's, in /tmp"),
        pytest.param(NOBODY, 0o644, 0o755, "belongs to nobody, and runs as root", id="another's"),
        pytest.param(0, 0o644, 0o1777, "", id="root's, in /tmp"),
    ],
)
def test_root_runs_nothing_that_anybody_may_have_written(skep, folder, owner, mode, of_folder, says):
    path = f"{folder}/x.bpf.o"
    shutil.copy(f"{PROGRAMS}/tp_btf.bpf.o", path)
    os.chown(path, owner, owner)
    os.chmod(path, mode)
    os.chmod(folder, of_folder)
    finished = subprocess.run(
        [*skep, "run", path, "--", "true"], capture_output=True, text=True, check=False, timeout=60
    )

    runs = not says or "runs as root" in says
    assert finished.returncode == (0 if runs else 3), finished.stderr
    assert says in finished.stderr
    assert ("belongs to" in finished.stderr) == ("belongs to" in says)


def test_the_doctor_of_somebody_else_says_what_root_could_try(skep, unprivileged):
    finished = unprivileged(*skep, "doctor", capabilities=[])

    assert finished.returncode == 3, finished.stderr
    assert "lacks CAP_BPF, CAP_PERFMON" in finished.stdout
    assert "sudo skep doctor" in finished.stdout
    assert finished.stderr == ""


def test_the_doctor_and_the_gallery_agree(skep):
    finished = subprocess.run([*skep, "doctor", "-o", "json"], capture_output=True, text=True, check=False, timeout=60)
    report = json.loads(finished.stdout)
    states = {each["name"]: each["state"] for found in report["sections"].values() for each in found}

    assert finished.returncode == (0 if report["works"] else 3), finished.stderr
    assert states["capabilities"] == states["BTF"] == states["opensnoop"] == states["tp"] == "yes"
    assert report["works"] == all(each["state"] == "yes" for each in report["sections"]["The gallery"])
    assert states["unlinksnoop"] == ("yes" if "yes" in {states["fentry"], states["kprobe"]} else "no")
